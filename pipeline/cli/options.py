"""Options that several commands take."""

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import GateRefusedError

if TYPE_CHECKING:
    from pipeline.steps.promotion.promote import Promotion

BLOOD_CELLS = "configs/blood_cells.yaml"
Config = Annotated[str, typer.Option(help="What the run does: configs/NAME.yaml.")]
ModelConfig = Annotated[
    str, typer.Option(help="Default: the config that the model was trained by; no other model's.")
]
Name = Annotated[str, typer.Option(help="Model name; default MODEL_NAME.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Untracked = Annotated[
    bool, typer.Option("--untracked", help="Promote although MLflow does not answer.")
]
RunId = Annotated[str, typer.Option(help="Name of the run in manifests.")]


def name_run(given: str) -> str:
    """The name given, else one of its own."""
    return given or f"cli-{uuid.uuid4().hex[:8]}"


def report_promotion(ended: "Promotion") -> None:
    """Print the URI of what was promoted, or that the model serves already.

    Raises:
        GateRefusedError: when it was refused: one line and exit code 1.
    """
    if ended.outcome == "refused":
        raise GateRefusedError(ended.sentence)
    promoted = ended.outcome == "promoted"
    print(ended.served if promoted else f"{ended.outcome}: {ended.sentence}")


def warn(lines: Iterable[str]) -> None:
    """Print warnings on stderr, where they spoil no output that a script reads."""
    for line in lines:
        typer.echo(f"warning: {line}", err=True)


def require_one(**given: object) -> None:
    """Refuse a command that names none, or more than one, of its alternatives.

    Raises:
        BadParameter: naming them, options in small letters.
    """
    if sum(bool(value) for value in given.values()) != 1:
        names = (name if name.isupper() else f"--{name}" for name in given)
        raise typer.BadParameter(f"give exactly one of {' and '.join(names)}")
