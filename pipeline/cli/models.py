"""Commands for served models: promotion, history, retraining, prediction, image."""

import getpass
import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from pipeline.cli.options import (
    Config,
    Json,
    ModelConfig,
    Name,
    RunId,
    Untracked,
    name_run,
    plain_console,
    report_promotion,
    warn,
)
from pipeline.dag_ids import TRAINING
from pipeline.entrypoints import deployment, promotion, served_models
from pipeline.settings import load_settings

app = typer.Typer()
WIDE = 160
"""Columns of a table that is written to a file or a pipe."""


@app.command()
def promote(
    verdict: Annotated[str, typer.Argument(help="URI of a verdict; it names the model.")],
    reason: Annotated[str, typer.Option(help="Recorded in the ledger.")] = "",
    approve: Annotated[
        bool,
        typer.Option(
            "--approve",
            help="You read this verdict: promote it even after a rollback; needs --reason.",
        ),
    ] = False,
    config: ModelConfig = "",
    run_id: RunId = "",
    untracked: Untracked = False,
) -> None:
    """Promote the model of a verdict; exit code 1 when the gate refused it."""
    if approve and not reason:
        raise typer.BadParameter("--approve needs a --reason")
    decision = {
        "author": getpass.getuser(),
        "reason": reason or "promoted by hand",
        "approved_at": datetime.now(UTC) if approve else None,
    }
    report_promotion(promotion.promote(config, name_run(run_id), verdict, decision, untracked))


@app.command()
def rollback(
    tag: Annotated[str, typer.Argument(help="Default: the previous model.")] = "",
    reason: Annotated[str, typer.Option(help="Recorded in the ledger.")] = "rolled back by hand",
    name: Annotated[str, typer.Option(help="Model name; default the tag's, else MODEL_NAME.")] = "",
    run_id: RunId = "",
) -> None:
    """Serve an earlier model again; prints its tag."""
    print(promotion.rollback(name, tag, getpass.getuser(), reason, name_run(run_id)).tag)


@app.command()
def shadow(
    uri: Annotated[str, typer.Argument(help="URI of a served bundle or a verdict.")] = "",
    off: Annotated[bool, typer.Option("--off", help="Stop shadow mode.")] = False,
    reason: Annotated[str, typer.Option()] = "set by hand",
    name: Name = "",
) -> None:
    """Score requests with a challenger in shadow mode; its predictions are only counted."""
    if off == bool(uri):
        raise typer.BadParameter("give either the URI of a challenger or --off")
    if off:
        served_models.clear_shadow(name or load_settings().model_name)
    else:
        print(served_models.set_shadow(uri, getpass.getuser(), reason, name).tag)


@app.command()
def repair(name: Name = "") -> None:
    """Update MLflow's alias and BentoML's model store from the pointer."""
    pointer = served_models.repair(name or load_settings().model_name)
    print(f"{pointer.tag} (move {pointer.sequence})" if pointer else "no model is promoted")


@app.command()
def history(name: Name = "", as_json: Json = False) -> None:
    """Show the serving periods, with author and reason of each pointer change, and refusals."""
    from pipeline.steps.promotion.history import refusal_table, table

    name = name or load_settings().model_name
    periods = served_models.history(name)
    if as_json:
        print(json.dumps([period.model_dump(mode="json") for period in periods], indent=2))
        return
    console = plain_console()
    wide = console if console.is_terminal else plain_console(width=WIDE)
    wide.print(table(name, periods) if periods else f"no model named {name} has been promoted")
    if refusals := served_models.refusals(name):
        wide.print(refusal_table(refusals))


@app.command()
def retrain(
    reason: Annotated[str, typer.Option()] = "requested on the command line",
    config: Config = "",
) -> None:
    """Start a training run in Airflow; prints its URL."""
    from pipeline.adapters.airflow import AirflowClient

    client = AirflowClient(load_settings())
    print(client.trigger(TRAINING, {"config": config, "reason": reason}).url)


@app.command()
def predict(
    images: Annotated[list[str], typer.Argument(help="Files, folders or patterns.")],
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Output as CSV.")] = False,
    parallel: Annotated[int, typer.Option(min=1, max=32, help="Concurrent requests.")] = 4,
) -> None:
    """Classify images by the service; exit code 2 when one fails."""
    from rich.progress import Progress

    from pipeline.cli.batch_prediction import find_images, predict_all, spreadsheet

    paths, left_out = find_images(images)
    warn(left_out.lines())
    with Progress(console=plain_console(stderr=True), transient=True) as progress:
        task = progress.add_task("Predicting", total=len(paths))
        settings = load_settings()
        url, key = settings.service_url, settings.service_api_key.get_secret_value()
        results = predict_all(url, paths, parallel, lambda: progress.advance(task), key)
    if as_json:
        shown = [{**(body or {"error": row.error}), "file": row.file} for row, body in results]
        print(json.dumps(shown, indent=2))
    elif as_csv:
        print(spreadsheet(row for row, _ in results), end="")
    else:
        for row, _ in results:
            probability = "" if row.probability is None else f"{row.probability:.3f}"
            print(f"{row.file}\t{row.label}\t{probability}\t{row.decision or row.error}")
    if any(row.error for row, _ in results):
        raise typer.Exit(2)


@app.command()
def image(config: Config = "", run_id: RunId = "") -> None:
    """Build the container image of the served model."""
    run_id = name_run(run_id)
    print(deployment.build_image(config, run_id, deployment.build(config, run_id)))
