"""Commands of the embedded stack: up, down, status, demo, doctor, weights."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import plain_console
from pipeline.entrypoints import training
from pipeline.settings import load_settings

app = typer.Typer()
console = plain_console()


def _quiet() -> None:
    """Set the logging of `pipeline` to warnings, for a command that shows its progress."""
    logging.getLogger("pipeline").setLevel(logging.WARNING)


@app.command()
def up() -> None:
    """Start the embedded stack and wait until every part is healthy."""
    from pipeline.embedded import stack

    _quiet()
    stack.up(load_settings(), console)


@app.command()
def down() -> None:
    """Stop the embedded stack and wait; its data stays."""
    from pipeline.embedded import stack

    console.print(f"stopped {stack.down(load_settings())} processes; the data stays")


@app.command()
def status() -> None:
    """Show state and address of every part; exit code 3 unless all are healthy."""
    from pipeline.embedded import stack

    settings = load_settings()
    states = stack.status(settings)
    console.print(stack.table(states))
    failure = stack.failure(settings)
    if failure:
        console.print(failure)
    if any(part.state != "healthy" for part in states):
        raise typer.Exit(3)


@app.command()
def demo(
    data: Annotated[str, typer.Option(help="A zip of folders named by class.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="Images per class; 0 for all.")] = 0,
) -> None:
    """Run the whole loop on the embedded stack: train, promote, predict, monitor."""
    from pipeline.demo import run_demo

    _quiet()
    run_demo(console, data=Path(data) if data else None, limit=limit)


@app.command()
def doctor() -> None:
    """Check this machine; exit code 2 when something required is missing."""
    from pipeline.embedded.doctor import run_checks, table

    checks = run_checks(load_settings())
    console.print(table(checks))
    if any(check.required and not check.passed for check in checks):
        raise typer.Exit(2)


@app.command()
def weights() -> None:
    """Download the backbone's ImageNet weights once and verify them; needs no running stack."""
    print(training.weights())
