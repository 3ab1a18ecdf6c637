"""Commands of the embedded stack: up, down, status, demo, doctor, weights."""

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Json, plain_console
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
def doctor(as_json: Json = False) -> None:
    """Check machine, configuration, network, store and servers; say what to do.

    Needs no running stack and changes nothing. Exit code 0 if all is well, 3 if something is
    unreachable, 2 for anything else that must be corrected.
    """
    from pipeline.doctor import report

    findings = report.examine()
    if as_json:
        print(json.dumps(report.as_json(findings), indent=2))
    else:
        for line in report.lines(findings):
            console.print(line, highlight=False, soft_wrap=True)
    raise typer.Exit(report.exit_code(findings))


@app.command()
def weights() -> None:
    """Download the backbone's ImageNet weights once and verify them; needs no running stack."""
    print(training.weights())
