"""From archive to verdict, step by step or in one go."""

import getpass
import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import (
    BLOOD_CELLS,
    Config,
    ModelConfig,
    RunId,
    Untracked,
    name_run,
    report_promotion,
    require_one,
    warn,
)
from pipeline.config import CrossvalConfig
from pipeline.entrypoints import (
    cells,
    chain,
    dataset,
    evaluation,
    experiments,
    promotion,
    training,
    verdicts,
)

app = typer.Typer()


@app.command()
def run(
    archive: Annotated[str, typer.Option(help="Path or s3:// URI of an archive.")],
    config: Config = BLOOD_CELLS,
    limit: Annotated[int, typer.Option(min=0)] = 0,
    run_id: RunId = "",
    untracked: Untracked = False,
) -> None:
    """The whole loop without Airflow; exit code 1 when the gate refuses."""
    run_id = name_run(run_id)
    parts = chain.to_split(config, run_id, [archive], limit)
    verdict = chain.to_verdict(config, run_id, parts).verdict
    print(verdicts.as_markdown(verdict))
    if not verdicts.passed(verdict):
        raise typer.Exit(1)
    decision = {"author": getpass.getuser(), "reason": "leukoflow run"}
    report_promotion(promotion.promote(config, run_id, verdict, decision, untracked))


@app.command()
def ingest(
    archive: Annotated[list[str] | None, typer.Argument()] = None,
    config: Config = BLOOD_CELLS,
    limit: Annotated[int, typer.Option(min=0)] = 0,
    run_id: RunId = "",
) -> None:
    """Freeze archives into a snapshot; all of archives/<name>/ when none is named."""
    print(dataset.ingest(config, name_run(run_id), archive or [], limit))


@app.command()
def validate(snapshot: str, config: Config = BLOOD_CELLS, run_id: RunId = "") -> None:
    """Set bad images of a snapshot aside."""
    print(dataset.validate(config, name_run(run_id), snapshot))


@app.command()
def group(
    dataset: Annotated[str, typer.Argument(help="URI of a validated dataset: the step.")] = "",
    archive: Annotated[str, typer.Option(help="Or the path or s3:// URI of an archive.")] = "",
    out: Annotated[
        Path, typer.Option(help="CSV with file, label, group and cell, of --archive.")
    ] = Path("groups.csv"),
    config: Config = BLOOD_CELLS,
    run_id: RunId = "",
) -> None:
    """Find which images show one cell, of a dataset or of an archive.

    With --archive it needs no running stack. Images that are not listed, such as those of a folder
    that is no class of the config, are told on stderr.
    """
    from pipeline.steps.cells.group import write_groups_csv

    require_one(DATASET=dataset, archive=archive)
    if dataset:
        print(cells.group(config, name_run(run_id), dataset))
        return
    records, left_out = cells.group_archive(archive, config)
    out.write_text(write_groups_csv(records))
    warn(left_out.warnings())
    n_cells = len({record.cell for record in records})
    n_groups = len({record.group for record in records})
    print(f"{len(records)} images, {n_cells} cells in {n_groups} groups: {out}")


@app.command()
def split(grouping: str, config: Config = BLOOD_CELLS, run_id: RunId = "") -> None:
    """Assign a grouping's groups to train, val and the locked test part."""
    print(cells.split(config, name_run(run_id), grouping))


@app.command()
def featurize(parts: str, shard: int, config: Config = BLOOD_CELLS, run_id: RunId = "") -> None:
    """Compute what the cache lacks of one shard of a split."""
    print(training.featurize(config, name_run(run_id), parts, shard))


@app.command()
def train(
    parts: str, features: list[str], config: Config = BLOOD_CELLS, run_id: RunId = ""
) -> None:
    """Train on a split and its features."""
    print(training.train(config, name_run(run_id), parts, features))


@app.command()
def export(bundle: str, parts: str, config: Config = BLOOD_CELLS, run_id: RunId = "") -> None:
    """Convert a bundle to the serving engine."""
    print(training.export(config, name_run(run_id), bundle, parts))


@app.command()
def evaluate(
    artefacts: Annotated[
        list[str] | None, typer.Argument(help="URIs of served bundle, bundle and split: the step.")
    ] = None,
    archive: Annotated[str, typer.Option(help="Or a labelled archive.")] = "",
    out: Annotated[Path, typer.Option(help="Report as JSON, of --archive.")] = Path("report.json"),
    predictions: Annotated[Path, typer.Option(help="Predictions as CSV, of --archive.")] = Path(
        "predictions.csv"
    ),
    model: Annotated[str, typer.Option(help="champion, or a tag, which names the model.")] = (
        "champion"
    ),
    name: Annotated[str, typer.Option(help="Model name; default the tag's, else MODEL_NAME.")] = "",
    config: Config = BLOOD_CELLS,
    run_id: RunId = "",
) -> None:
    """Score a trained model on the locked test part, or a promoted one on any labelled archive.

    What of an archive is scored as no class of the model, or not at all, is told on stderr, in the
    report and in the column `scored_as` of the predictions.
    """
    require_one(ARTEFACTS=artefacts, archive=archive)
    if artefacts:
        if len(artefacts) != 3:
            raise typer.BadParameter("three URIs are expected: served bundle, bundle and split")
        print(evaluation.evaluate(config, name_run(run_id), *artefacts))
        return
    report, table, left_out = evaluation.evaluate_archive(archive, name, model)
    out.write_text(json.dumps(report, indent=2) + "\n")
    predictions.write_text(table)
    warn(left_out.warnings())
    told = ("tag", "images", "cells", "accuracy", "unknown_labels", "skipped")
    print(json.dumps({key: report[key] for key in told if key in report}))


@app.command()
def crossval(
    archive: Annotated[list[str] | None, typer.Argument()] = None,
    folds: Annotated[int, typer.Option(min=3)] = 5,
    config: Config = BLOOD_CELLS,
    limit: Annotated[int, typer.Option(min=0)] = 0,
    share: Annotated[
        float,
        typer.Option(min=0.05, max=1.0, help="Of each class's cells that a fold learns from."),
    ] = 1.0,
    unknown: Annotated[
        str, typer.Option(help="A class of which nothing is learned: do its images go to a person?")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Report as JSON.")] = None,
) -> None:
    """Score the recipe on cells it never saw, fold by fold; the locked test part stays unseen."""
    plan = CrossvalConfig(folds=folds, share=share, unknown=unknown)
    report = experiments.crossval(config, name_run(""), plan, archive or [], limit)
    if out is not None:
        out.write_text(report.model_dump_json(indent=2) + "\n")
    print(report.table())


@app.command()
def gate(evaluation: str, served: str, config: ModelConfig = "", run_id: RunId = "") -> None:
    """Judge a challenger; exit code 1 when it is refused."""
    verdict = verdicts.gate(config, name_run(run_id), evaluation, served)
    print(verdict)
    print(verdicts.as_markdown(verdict))
    if not verdicts.passed(verdict):
        raise typer.Exit(1)
