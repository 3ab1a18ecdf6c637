"""Commands of the pipeline's steps, from archive to verdict."""

import getpass
import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import (
    Config,
    Exclude,
    Include,
    Json,
    Limit,
    ModelConfig,
    RunId,
    Split,
    Untracked,
    name_run,
    report_promotion,
    require_one,
    warn,
)
from pipeline.config.crossval import CrossvalConfig
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
from pipeline.entrypoints.config_lookup import path_filter

app = typer.Typer()


@app.command()
def run(
    archive: Annotated[str, typer.Option(help="Path or s3:// URI of an archive.")],
    config: Config = "",
    limit: Limit = 0,
    include: Include = None,
    exclude: Exclude = None,
    run_id: RunId = "",
    untracked: Untracked = False,
) -> None:
    """Run the whole pipeline without Airflow, promotion included; exit code 1 if it is refused."""
    run_id = name_run(run_id)
    paths = path_filter(include, exclude)
    parts = chain.to_split(config, run_id, [archive], limit, paths=paths)
    verdict = chain.to_verdict(config, run_id, parts).verdict
    print(verdicts.as_markdown(verdict))
    if not verdicts.passed(verdict):
        raise typer.Exit(1)
    decision = {"author": getpass.getuser(), "reason": "leukoflow run"}
    report_promotion(promotion.promote(config, run_id, verdict, decision, untracked))


@app.command()
def ingest(
    archive: Annotated[list[str] | None, typer.Argument()] = None,
    config: Config = "",
    limit: Limit = 0,
    include: Include = None,
    exclude: Exclude = None,
    run_id: RunId = "",
    as_json: Json = False,
) -> None:
    """Freeze archives into a snapshot; by default all of archives/<name>/.

    Of archives that are not named, broken ones are skipped and reported on stderr and in the JSON.
    """
    paths = path_filter(include, exclude)
    snapshot = dataset.ingest(config, name_run(run_id), archive or [], limit, paths)
    manifest = dataset.snapshot_manifest(snapshot)
    warn(f"skipped {refused.uri}: {refused.reason}" for refused in manifest.refused)
    warn(manifest.left_out.lines())
    report = {
        "snapshot": snapshot,
        "counts": manifest.counts,
        "refused": [refused.model_dump() for refused in manifest.refused],
        **manifest.left_out.model_dump(),
    }
    print(json.dumps(report, indent=2) if as_json else snapshot)


@app.command()
def validate(snapshot: str, config: Config = "", run_id: RunId = "") -> None:
    """Quarantine the unusable images of a snapshot."""
    print(dataset.validate(config, name_run(run_id), snapshot))


@app.command()
def group(
    dataset: Annotated[str, typer.Argument(help="URI of a validated dataset.")] = "",
    archive: Annotated[str, typer.Option(help="Alternatively an archive: path or s3:// URI.")] = "",
    out: Annotated[
        Path, typer.Option(help="With --archive: CSV of file, label, group and cell.")
    ] = Path("groups.csv"),
    include: Include = None,
    exclude: Exclude = None,
    config: Config = "",
    run_id: RunId = "",
    as_json: Json = False,
) -> None:
    """Group the images that show one cell, in a dataset or an archive.

    --archive needs no running stack. Images that are left out of the CSV, such as those in a folder
    that is not a class of the config, are reported on stderr and in the JSON.
    """
    from pipeline.steps.cells.group import groups_csv

    require_one(DATASET=dataset, archive=archive)
    if dataset:
        print(cells.group(config, name_run(run_id), dataset))
        return
    records, left_out = cells.group_archive(archive, config, path_filter(include, exclude))
    out.write_text(groups_csv(records))
    warn(left_out.warnings())
    counts = {
        "images": len(records),
        "cells": len({record.cell for record in records}),
        "groups": len({record.group for record in records}),
    }
    if as_json:
        print(json.dumps({**counts, **left_out.model_dump()}, indent=2))
    else:
        print("{images} images, {cells} cells in {groups} groups".format(**counts) + f": {out}")


@app.command()
def split(grouping: str, config: Config = "", run_id: RunId = "") -> None:
    """Assign a grouping's groups to train, val and the locked test part."""
    print(cells.split(config, name_run(run_id), grouping))


@app.command()
def featurize(split: Split, shard: int, config: Config = "", run_id: RunId = "") -> None:
    """Compute one shard's activations, except those in the cache."""
    print(training.featurize(config, name_run(run_id), split, shard))


@app.command()
def train(split: Split, features: list[str], config: Config = "", run_id: RunId = "") -> None:
    """Train a model on a split and its features."""
    print(training.train(config, name_run(run_id), split, features))


@app.command()
def export(bundle: str, split: Split, config: Config = "", run_id: RunId = "") -> None:
    """Convert a bundle to the serving engine."""
    print(training.export(config, name_run(run_id), bundle, split))


@app.command()
def evaluate(
    artefacts: Annotated[
        list[str] | None, typer.Argument(help="URIs of served bundle, bundle and split.")
    ] = None,
    archive: Annotated[str, typer.Option(help="Alternatively a labelled archive.")] = "",
    out: Annotated[Path, typer.Option(help="With --archive: report as JSON.")] = Path(
        "report.json"
    ),
    predictions: Annotated[Path, typer.Option(help="With --archive: predictions as CSV.")] = Path(
        "predictions.csv"
    ),
    model: Annotated[str, typer.Option(help="With --archive: champion, or a tag.")] = ("champion"),
    name: Annotated[str, typer.Option(help="Model name; default the tag's, else MODEL_NAME.")] = "",
    include: Include = None,
    exclude: Exclude = None,
    config: Config = "",
    run_id: RunId = "",
) -> None:
    """Score a trained model on the locked test part, or a promoted one on a labelled archive.

    Images of an archive that are scored as an unknown class, or skipped, are reported on stderr, in
    the report and in the column `scored_as` of the predictions.
    """
    require_one(ARTEFACTS=artefacts, archive=archive)
    if artefacts:
        if len(artefacts) != 3:
            raise typer.BadParameter("expected three URIs: served bundle, bundle and split")
        print(evaluation.evaluate(config, name_run(run_id), *artefacts))
        return
    report, table, left_out = evaluation.evaluate_archive(
        archive, name, model, path_filter(include, exclude)
    )
    out.write_text(json.dumps(report, indent=2) + "\n")
    predictions.write_text(table)
    warn(left_out.warnings())
    printed = ["tag", "images", "cells", "accuracy", "unknown_labels", "ignored", "skipped"]
    if left_out.nearest_classes:
        printed += ["nearest_classes"]
    if left_out.remark:
        printed += ["remark", "unknown"]
    print(json.dumps({key: report[key] for key in printed if key in report}))


@app.command()
def crossval(
    archive: Annotated[list[str] | None, typer.Argument()] = None,
    folds: Annotated[int, typer.Option(min=3)] = 5,
    config: Config = "",
    limit: Limit = 0,
    share: Annotated[
        float,
        typer.Option(min=0.05, max=1.0, help="Share of each class's cells to train on."),
    ] = 1.0,
    unknown: Annotated[str, typer.Option(help="Class to omit, to measure its review rate.")] = "",
    out: Annotated[Path | None, typer.Option(help="Report as JSON.")] = None,
) -> None:
    """Cross-validate a config by group; the locked test part is not used."""
    plan = CrossvalConfig(folds=folds, share=share, unknown=unknown)
    report = experiments.crossval(config, name_run(""), plan, archive or [], limit)
    if out is not None:
        out.write_text(report.model_dump_json(indent=2) + "\n")
    print(report.table())


@app.command()
def gate(evaluation: str, served: str, config: ModelConfig = "", run_id: RunId = "") -> None:
    """Judge a challenger; exit code 1 when the gate refuses it."""
    verdict = verdicts.gate(config, name_run(run_id), evaluation, served)
    print(verdict)
    print(verdicts.as_markdown(verdict))
    if not verdicts.passed(verdict):
        raise typer.Exit(1)
