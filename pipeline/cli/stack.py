"""The embedded stack, the demo on it, and what this machine has."""

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.entrypoints import training
from pipeline.settings import load_settings

app = typer.Typer()
console = Console()


def _quiet() -> None:
    """Leave the terminal to a command that shows its own progress."""
    logging.getLogger("pipeline").setLevel(logging.WARNING)


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
def doctor() -> None:
    """What this machine has and lacks; exit code 2 when something needed is missing."""
    from pipeline.embedded.doctor import examine, table

    findings = examine(load_settings())
    console.print(table(findings))
    if any(finding.needed and not finding.good for finding in findings):
        raise typer.Exit(2)


@app.command()
def weights() -> None:
    """Bring the backbone's ImageNet weights once, verified; needs no running stack."""
    print(training.weights())
