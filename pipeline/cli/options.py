"""Options and output that several commands share."""

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipeline.entrypoints.config_lookup import default_config
from pipeline.errors import GateRefusedError

if TYPE_CHECKING:
    from pipeline.steps.promotion.promote import PromotionReport

Config = Annotated[
    str,
    typer.Option(
        help="Run config. Default: configs/MODEL_NAME.yaml.",
        callback=lambda config: config or default_config(),
    ),
]
Split = Annotated[str, typer.Argument(help="URI of a split.")]
ModelConfig = Annotated[str, typer.Option(help="Default: the config of the model's training.")]
Limit = Annotated[int, typer.Option(min=0, help="Images per class and archive; 0: all.")]
Include = Annotated[
    list[str] | None,
    typer.Option(
        help="Read only files that match, such as 'images/TRAIN/**'; repeatable. "
        "Default: the config's."
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(help="Do not read files that match, such as masks; repeatable."),
]
Name = Annotated[str, typer.Option(help="Model name; default MODEL_NAME.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Untracked = Annotated[
    bool, typer.Option("--untracked", help="Promote although MLflow is unreachable.")
]
RunId = Annotated[str, typer.Option(help="Run id in manifests; default: generated.")]


def plain_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console that prints text as it is: brackets are no markup, colons no emoji."""
    return Console(stderr=stderr, width=width, markup=False, emoji=False)


def name_run(run_id: str) -> str:
    """The given run id, or a new random one."""
    return run_id or f"cli-{uuid.uuid4().hex[:8]}"


def report_promotion(result: "PromotionReport") -> None:
    """Print the promoted bundle's URI, or the outcome; raise GateRefusedError for a refusal."""
    if result.outcome == "refused":
        raise GateRefusedError(result.sentence)
    promoted = result.outcome == "promoted"
    print(result.served if promoted else f"{result.outcome}: {result.sentence}")


def warn(lines: Iterable[str]) -> None:
    """Print warnings on stderr, apart from the output that a script reads."""
    for line in lines:
        typer.echo(f"warning: {line}", err=True)


def require_one(**alternatives: object) -> None:
    """Raise BadParameter unless exactly one of the alternatives has a value.

    Args:
        alternatives: name to value; arguments in capitals, options in small letters.
    """
    if sum(bool(value) for value in alternatives.values()) != 1:
        names = (name if name.isupper() else f"--{name}" for name in alternatives)
        raise typer.BadParameter(f"give exactly one of {' and '.join(names)}")
