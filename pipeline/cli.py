"""`leukoflow`: one sub-command per entry point, and the stack that runs them.

Exit codes: 0 done, 1 refused by a gate, 2 bad usage or input, 3 a service is unreachable,
4 a disk is full.
"""

import errno
import getpass
import json
import logging
import os
import sys
import uuid
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from pipeline import entrypoints
from pipeline.errors import DiskFullError, PipelineError
from pipeline.keys_command import keys
from pipeline.settings import load_settings
from pipeline.telemetry import silence

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(keys, name="keys")
console = Console()

Config = Annotated[str, typer.Option(help="What the run does: configs/NAME.yaml.")]
ServedConfig = Annotated[str, typer.Option(help="Default: configs/MODEL_NAME.yaml.")]
Name = Annotated[str, typer.Option(help="Model name; default MODEL_NAME.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Untracked = Annotated[
    bool, typer.Option("--untracked", help="Promote although MLflow does not answer.")
]
RunId = Annotated[str, typer.Option(help="Name of the run in manifests.")]
BLOOD_CELLS = "configs/blood_cells.yaml"
WIDE = 160
"""Columns of a table that goes into a file or a pipe."""


def _quiet() -> None:
    """Leave the terminal to a command that shows its own progress."""
    logging.getLogger("pipeline").setLevel(logging.WARNING)


def _run_id(given: str) -> str:
    return given or f"cli-{uuid.uuid4().hex[:8]}"


def _served(config: str) -> str:
    """The config given, else that of the model that is served here."""
    return config or f"configs/{load_settings().model_name}.yaml"


def _show(value: Any, as_json: bool) -> None:
    print(json.dumps(value, indent=2, default=str) if as_json else value)


@app.command()
def up() -> None:
    """Start the embedded stack."""
    from pipeline.embedded import stack

    _quiet()
    stack.up(load_settings(), console)


@app.command()
def down() -> None:
    """Stop the embedded stack; its data stays."""
    from pipeline.embedded import stack

    console.print(f"stopped {stack.down(load_settings())} processes; the data stays")


@app.command()
def status() -> None:
    """State and address of every part; exit code 3 unless all are healthy."""
    from pipeline.embedded import stack

    settings = load_settings()
    states = stack.status(settings)
    console.print(stack.table(states))
    failure = stack.failure(settings)
    if failure:
        console.print(failure)
    if any(one.state != "healthy" for one in states):
        raise typer.Exit(3)


@app.command()
def demo(
    data: Annotated[str, typer.Option(help="A zip of folders named by class.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="Images per class; 0 for all.")] = 0,
) -> None:
    """The whole loop on the embedded stack, through Airflow."""
    from pipeline.demo import run_demo

    _quiet()
    run_demo(console, data=Path(data) if data else None, limit=limit)


@app.command()
def run(
    archive: Annotated[str, typer.Option(help="Path or s3:// URI of an archive.")],
    config: Config = BLOOD_CELLS,
    limit: Annotated[int, typer.Option(min=0)] = 0,
    run_id: RunId = "",
    untracked: Untracked = False,
) -> None:
    """The whole loop without Airflow; exit code 1 when the gate refuses."""
    run_id = _run_id(run_id)
    snapshot = entrypoints.ingest(config, run_id, [archive], limit)
    grouping = entrypoints.group(config, run_id, entrypoints.validate(config, run_id, snapshot))
    parts = entrypoints.split(config, run_id, grouping)
    shards = entrypoints.shards(config)
    features = [entrypoints.featurize(config, run_id, parts, shard) for shard in shards]
    bundle = entrypoints.train(config, run_id, parts, features)
    served = entrypoints.export(config, run_id, bundle, parts)
    evaluation = entrypoints.evaluate(config, run_id, served, bundle, parts)
    verdict = entrypoints.gate(config, run_id, evaluation, served)
    print(entrypoints.verdict_markdown(verdict))
    if not entrypoints.verdict_passed(verdict):
        raise typer.Exit(1)
    author, reason = getpass.getuser(), "leukoflow run"
    print(entrypoints.promote(config, run_id, verdict, author, reason, untracked=untracked))


@app.command()
def ingest(
    archive: Annotated[list[str] | None, typer.Argument()] = None,
    config: Config = BLOOD_CELLS,
    limit: Annotated[int, typer.Option(min=0)] = 0,
    run_id: RunId = "",
) -> None:
    """Freeze archives into a snapshot; all of archives/<name>/ when none is named."""
    print(entrypoints.ingest(config, _run_id(run_id), archive or [], limit))


@app.command()
def validate(snapshot: str, config: Config = BLOOD_CELLS, run_id: RunId = "") -> None:
    """Set bad images of a snapshot aside."""
    print(entrypoints.validate(config, _run_id(run_id), snapshot))


@app.command()
def group(
    archive: Annotated[str, typer.Option(help="Path or s3:// URI of an archive.")],
    out: Annotated[Path, typer.Option(help="CSV with file, label and group.")],
    config: Config = BLOOD_CELLS,
) -> None:
    """Find which images of an archive show one cell; needs no running stack."""
    from pipeline.steps.group import write_groups_csv

    records = entrypoints.group_archive(archive, config)
    out.write_text(write_groups_csv(records))
    print(f"{len(records)} images, {len({record.group for record in records})} cells: {out}")


@app.command()
def split(grouping: str, config: Config = BLOOD_CELLS, run_id: RunId = "") -> None:
    """Deal a grouping into train, val and the locked test part."""
    print(entrypoints.split(config, _run_id(run_id), grouping))


@app.command()
def featurize(parts: str, shard: int, config: Config = BLOOD_CELLS, run_id: RunId = "") -> None:
    """Compute what the cache lacks of one shard of a split."""
    print(entrypoints.featurize(config, _run_id(run_id), parts, shard))


@app.command()
def train(
    parts: str, features: list[str], config: Config = BLOOD_CELLS, run_id: RunId = ""
) -> None:
    """Train on a split and its features."""
    print(entrypoints.train(config, _run_id(run_id), parts, features))


@app.command()
def export(bundle: str, parts: str, config: Config = BLOOD_CELLS, run_id: RunId = "") -> None:
    """Convert a bundle to the serving engine."""
    print(entrypoints.export(config, _run_id(run_id), bundle, parts))


@app.command()
def evaluate(
    archive: Annotated[str, typer.Option(help="A labelled archive.")],
    out: Annotated[Path, typer.Option(help="Report as JSON.")],
    predictions: Annotated[Path, typer.Option(help="Predictions as CSV.")],
    model: Annotated[str, typer.Option(help="champion, or a tag.")] = "champion",
    name: Name = "",
) -> None:
    """Score a model on any labelled archive."""
    report, table = entrypoints.evaluate_archive(archive, name or load_settings().model_name, model)
    out.write_text(json.dumps(report, indent=2) + "\n")
    predictions.write_text(table)
    print(json.dumps({key: report[key] for key in ("tag", "images", "cells", "accuracy")}))


@app.command()
def crossval(
    archive: Annotated[list[str] | None, typer.Argument()] = None,
    folds: Annotated[int, typer.Option(min=3)] = 5,
    config: Config = BLOOD_CELLS,
    limit: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="Report as JSON.")] = None,
) -> None:
    """Score the recipe on cells it never saw, fold by fold; the locked test part stays unseen."""
    report = entrypoints.crossval(config, _run_id(""), archive or [], limit, folds)
    if out is not None:
        out.write_text(report.model_dump_json(indent=2) + "\n")
    print(report.table())


@app.command()
def gate(evaluation: str, served: str, config: Config = BLOOD_CELLS, run_id: RunId = "") -> None:
    """Judge a challenger; exit code 1 when it is refused."""
    verdict = entrypoints.gate(config, _run_id(run_id), evaluation, served)
    print(verdict)
    print(entrypoints.verdict_markdown(verdict))
    if not entrypoints.verdict_passed(verdict):
        raise typer.Exit(1)


@app.command()
def promote(
    verdict: str,
    reason: Annotated[str, typer.Option(help="Kept in the ledger.")] = "",
    approve: Annotated[
        bool,
        typer.Option(
            "--approve",
            help="You read this verdict: serve it even if it was rolled back from; needs --reason.",
        ),
    ] = False,
    config: Config = BLOOD_CELLS,
    run_id: RunId = "",
    untracked: Untracked = False,
) -> None:
    """Serve the model of a passed verdict."""
    if approve and not reason:
        raise typer.BadParameter("--approve needs a --reason")
    author, reason = getpass.getuser(), reason or "promoted by hand"
    print(entrypoints.promote(config, _run_id(run_id), verdict, author, reason, approve, untracked))


@app.command()
def rollback(
    tag: Annotated[str, typer.Argument(help="Empty: the model before this one.")] = "",
    reason: Annotated[str, typer.Option(help="Kept in the ledger.")] = "rolled back by hand",
    name: Name = "",
    run_id: RunId = "",
) -> None:
    """Serve an earlier model again."""
    name = name or load_settings().model_name
    print(entrypoints.rollback(name, tag, getpass.getuser(), reason, _run_id(run_id)).tag)


@app.command()
def shadow(
    uri: Annotated[str, typer.Argument(help="Of a served bundle or a verdict.")] = "",
    off: Annotated[bool, typer.Option("--off", help="Let no challenger score.")] = False,
    reason: Annotated[str, typer.Option()] = "set by hand",
    name: Name = "",
) -> None:
    """Let a challenger score the requests as well, on spare time; its answers are only counted."""
    if off == bool(uri):
        raise typer.BadParameter("give either the URI of a challenger or --off")
    if off:
        entrypoints.shadow_off(name or load_settings().model_name)
    else:
        print(entrypoints.shadow(uri, getpass.getuser(), reason).tag)


@app.command()
def repair(name: Name = "") -> None:
    """Bring the MLflow alias and the BentoML store to what the pointer says."""
    pointer = entrypoints.repair(name or load_settings().model_name)
    print(f"{pointer.tag} (move {pointer.sequence})" if pointer else "no model is promoted")


@app.command()
def history(name: Name = "", as_json: Json = False) -> None:
    """What served when and for how long, who moved the pointer, and why."""
    from pipeline.steps.history import refusal_table, table

    name = name or load_settings().model_name
    reigns = entrypoints.history(name)
    if as_json:
        _show([reign.model_dump(mode="json") for reign in reigns], as_json)
        return
    wide = console if console.is_terminal else Console(width=WIDE)
    wide.print(table(name, reigns) if reigns else f"no model of {name} was promoted yet")
    if refusals := entrypoints.refusals(name):
        wide.print(refusal_table(refusals))


@app.command()
def retrain(
    reason: Annotated[str, typer.Option()] = "asked on the command line",
    config: ServedConfig = "",
) -> None:
    """Ask Airflow for a training run."""
    from pipeline.adapters.airflow import AirflowClient

    client = AirflowClient(load_settings())
    print(client.trigger("blood_cell_training", {"config": _served(config), "reason": reason}).url)


@app.command()
def predict(
    images: Annotated[list[str], typer.Argument(help="Files, folders or patterns.")],
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A spreadsheet's output.")] = False,
    parallel: Annotated[int, typer.Option(min=1, max=32, help="Requests at a time.")] = 4,
) -> None:
    """Ask the service about images; exit code 2 when it refused one."""
    from rich.progress import Progress

    from pipeline.adapters.predicting import ask_all, find_images, spreadsheet

    paths = find_images(images)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Asking", total=len(paths))
        settings = load_settings()
        url, key = settings.service_url, settings.service_api_key.get_secret_value()
        told = ask_all(url, paths, parallel, lambda: progress.advance(task), key)
    if as_json:
        _show(
            [{**(answer or {"error": one.error}), "file": one.file} for one, answer in told], True
        )
    elif as_csv:
        print(spreadsheet(one for one, _ in told), end="")
    else:
        for one, _ in told:
            share = "" if one.probability is None else f"{one.probability:.3f}"
            print(f"{one.file}\t{one.label}\t{share}\t{one.decision or one.error}")
    if any(one.error for one, _ in told):
        raise typer.Exit(2)


@app.command()
def weights() -> None:
    """Bring the backbone's ImageNet weights once, verified; needs no running stack."""
    print(entrypoints.weights())


@app.command()
def doctor() -> None:
    """What this machine has and lacks; exit code 2 when something needed is missing."""
    from pipeline.embedded.doctor import examine, table

    findings = examine(load_settings())
    console.print(table(findings))
    if any(finding.needed and not finding.good for finding in findings):
        raise typer.Exit(2)


@app.command()
def image(config: ServedConfig = "", run_id: RunId = "") -> None:
    """Build the container image of the served model."""
    run_id, config = _run_id(run_id), _served(config)
    print(entrypoints.build_image(config, run_id, entrypoints.build(config, run_id)))


def main() -> None:
    """Run the command line; an expected failure is one clear line and its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("httpx", "botocore", "boto3", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    silence(os.environ)
    for plugin in entry_points(group="leukoflow.commands"):
        app.command(plugin.name)(plugin.load())
    try:
        app()
    except PipelineError as error:
        _fail(error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _fail(DiskFullError.of(error))


def _fail(error: PipelineError) -> NoReturn:
    Console(stderr=True).print(f"[red]error[/] {error}", highlight=False, soft_wrap=True)
    sys.exit(error.exit_code)
