"""`leukoflow drift`: how often would monitoring alarm on this archive?"""

import json
from pathlib import Path
from typing import Annotated

import typer

from monitoring import entrypoints as monitoring
from pipeline import entrypoints
from pipeline.settings import load_settings


def drift(
    archive: Annotated[str, typer.Option(help="Path or s3:// URI of an archive.")],
    out: Annotated[Path, typer.Option(help="alarm_share and each window's verdict, as JSON.")],
    window: Annotated[int, typer.Option(min=1, help="Images a window.")] = 100,
    draws: Annotated[int, typer.Option(min=1, help="Windows to draw.")] = 20,
    name: Annotated[str, typer.Option(help="Model name; default MODEL_NAME.")] = "",
    config: Annotated[str, typer.Option(help="The test's settings.")] = "configs/monitoring.yaml",
) -> None:
    """Draw windows from an archive and test each against the champion's reference."""
    records, reference = entrypoints.drift_records(archive, name or load_settings().model_name)
    result = monitoring.drift(records, reference, window, draws, config)
    out.write_text(json.dumps(result, indent=2) + "\n")
    typer.echo(f"{result['alarm_share']:.0%} of {draws} windows of {window} alarmed: {out}")
