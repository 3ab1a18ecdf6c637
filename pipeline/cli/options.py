"""Options that several commands take."""

import uuid
from typing import Annotated

import typer

BLOOD_CELLS = "configs/blood_cells.yaml"
Config = Annotated[str, typer.Option(help="What the run does: configs/NAME.yaml.")]
Name = Annotated[str, typer.Option(help="Model name; default MODEL_NAME.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Untracked = Annotated[
    bool, typer.Option("--untracked", help="Promote although MLflow does not answer.")
]
RunId = Annotated[str, typer.Option(help="Name of the run in manifests.")]


def name_run(given: str) -> str:
    """The name given, else one of its own."""
    return given or f"cli-{uuid.uuid4().hex[:8]}"
