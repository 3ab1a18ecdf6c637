"""`leukoflow drift` (alarm rate on an archive) and `leukoflow gather` (returned labels)."""

import json
from pathlib import Path
from typing import Annotated

import typer

from monitoring import entrypoints as monitoring
from monitoring.config import load_monitoring_config
from pipeline.entrypoints import evaluation, labels
from pipeline.entrypoints.config_lookup import config_path, path_filter
from pipeline.settings import load_settings

Config = Annotated[str, typer.Option(help="Path of the monitoring configuration.")]
Name = Annotated[str, typer.Option(help="Model name (default: MODEL_NAME).")]
Include = Annotated[list[str] | None, typer.Option(help="Read only files that match; repeatable.")]
Exclude = Annotated[list[str] | None, typer.Option(help="Skip files that match; repeatable.")]
CONFIG = "configs/monitoring.yaml"


def drift(
    archive: Annotated[str, typer.Option(help="Path or s3:// URI of an archive.")],
    out: Annotated[Path, typer.Option(help="JSON: alarm_share and each window's result.")],
    window: Annotated[int, typer.Option(min=1, help="Images per window.")] = 100,
    n_windows: Annotated[int, typer.Option("--draws", min=1, help="Number of windows.")] = 20,
    name: Name = "",
    include: Include = None,
    exclude: Exclude = None,
    config: Config = CONFIG,
) -> None:
    """Draw windows from an archive, test each against the champion's reference, write a report."""
    records, reference, skipped = evaluation.drift_records(
        archive, name, path_filter(include, exclude)
    )
    rate = monitoring.drift(records, reference, window, n_windows, config)
    for warning in skipped.warnings():
        typer.echo(f"warning: {warning}", err=True)
    report = rate.model_dump(mode="json") | {"images": len(records)} | skipped.model_dump()
    out.write_text(json.dumps(report, indent=2) + "\n")
    typer.echo(f"{rate.alarm_share:.0%} of {n_windows} windows of {window} images alarmed: {out}")
    for line in rate.examples():
        typer.echo(line)


def gather(
    min_labels: Annotated[
        int | None,
        typer.Option("--min", min=1, help="Minimum number of new labels."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=400, help="Days of the log to read.")
    ] = None,
    name: Name = "",
    config: Config = CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Report how often returned labels agree; write enough new ones into archives/<name>/."""
    options = {"min_labels": min_labels, "days": days}
    update = {field: value for field, value in options.items() if value is not None}
    settings = load_monitoring_config(config_path(config)).gather.model_copy(update=update)
    returned, _ = labels.gather(name or load_settings().model_name, "gather", settings)
    typer.echo(returned.model_dump_json() if as_json else str(returned))
