"""`leukoflow drift`: how often would monitoring alarm on this archive? And `leukoflow gather`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from monitoring import entrypoints as monitoring
from monitoring.config import load_monitoring_config
from pipeline.entrypoints import evaluation, labels
from pipeline.entrypoints.configs import config_path
from pipeline.settings import load_settings

Config = Annotated[str, typer.Option(help="Settings of monitoring.")]
Name = Annotated[str, typer.Option(help="Model name; default MODEL_NAME.")]
CONFIG = "configs/monitoring.yaml"


def drift(
    archive: Annotated[str, typer.Option(help="Path or s3:// URI of an archive.")],
    out: Annotated[Path, typer.Option(help="alarm_share and each window's verdict, as JSON.")],
    window: Annotated[int, typer.Option(min=1, help="Images a window.")] = 100,
    draws: Annotated[int, typer.Option(min=1, help="Windows to draw.")] = 20,
    name: Name = "",
    config: Config = CONFIG,
) -> None:
    """Draw windows from an archive and test each against the champion's reference."""
    records, reference, left_out = evaluation.drift_records(archive, name)
    result = monitoring.drift(records, reference, window, draws, config)
    result |= {"images": len(records), **left_out.model_dump()}
    for line in left_out.warnings():
        typer.echo(f"warning: {line}", err=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    typer.echo(f"{result['alarm_share']:.0%} of {draws} windows of {window} alarmed: {out}")


def gather(
    least: Annotated[
        int | None, typer.Option("--min", min=1, help="Fewest new labels that make an archive.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=400, help="How far back to look.")] = None,
    name: Name = "",
    config: Config = CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Put returned labels into archives/<name>/, and say how often people agreed."""
    asked = {"min_labels": least, "days": days}
    given = {field: value for field, value in asked.items() if value is not None}
    chosen = load_monitoring_config(config_path(config)).gather.model_copy(update=given)
    returned, _ = labels.gather(name or load_settings().model_name, "gather", chosen)
    typer.echo(returned.model_dump_json() if as_json else str(returned))
