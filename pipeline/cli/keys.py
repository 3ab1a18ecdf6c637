"""`leukoflow keys`: who may call the service."""

import json
from typing import Annotated

import typer

from pipeline.adapters import api_keys
from pipeline.settings import load_settings

keys = typer.Typer(no_args_is_help=True)


@keys.callback()
def explain() -> None:
    """Who may call the service; it follows every change without a restart.

    As soon as there is a list, callers need a key of it. It is the file API_KEYS_FILE, by default
    api-keys.json of LEUKOFLOW_HOME, and holds no key, only what a key can be recognised by.
    """


@keys.command()
def add(name: Annotated[str, typer.Argument(help="Who will use it; logged.")]) -> None:
    """Make a key and print it, this once."""
    path = load_settings().keys_file
    typer.echo(api_keys.add(path, name))
    typer.echo(f"{name} may call with it in X-API-Key: {path}", err=True)


@keys.command("list")
def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Names, and since when."""
    path = load_settings().keys_file
    found = api_keys.read(path)
    if as_json:
        shown = [key.model_dump(mode="json", include={"name", "created"}) for key in found]
        typer.echo(json.dumps(shown, indent=2))
        return
    for key in found:
        typer.echo(f"{key.name}\t{key.created.isoformat(timespec='seconds')}")
    if not found:
        who = "nobody" if path.exists() else "everybody"
        typer.echo(f"no key is listed: {who} may call", err=True)


@keys.command()
def revoke(name: str) -> None:
    """Let a key's owner call no more."""
    path = load_settings().keys_file
    left = api_keys.revoke(path, name)
    typer.echo(f"{name} may call no more, {left} keys are left", err=True)
    if not left:
        typer.echo(f"nobody may call now; without {path} everybody may", err=True)
