"""`leukoflow keys`: manage the service's API keys."""

import json
from typing import Annotated

import typer

from pipeline.adapters import api_key_file
from pipeline.settings import load_settings

keys = typer.Typer(no_args_is_help=True)


@keys.callback()
def explain() -> None:
    """Manage the service's API keys; changes take effect without a restart.

    Once the key file exists, every request needs a key in it. The file is API_KEYS_FILE, by default
    api-keys.json in LEUKOFLOW_HOME. It contains digests, not the keys.
    """


@keys.command()
def add(name: Annotated[str, typer.Argument(help="Name of the key in the access log.")]) -> None:
    """Create a key and print it; it cannot be shown again."""
    path = load_settings().keys_file
    typer.echo(api_key_file.add(path, name))
    typer.echo(f"added {name} to {path}; send the key in X-API-Key", err=True)


@keys.command("list")
def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """List names and creation times of the keys."""
    path = load_settings().keys_file
    stored = api_key_file.read(path)
    if as_json:
        shown = [key.model_dump(mode="json", include={"name", "created"}) for key in stored]
        typer.echo(json.dumps(shown, indent=2))
        return
    for key in stored:
        typer.echo(f"{key.name}\t{key.created.isoformat(timespec='seconds')}")
    if not stored:
        effect = "every request is refused" if path.exists() else "no key is required"
        typer.echo(f"no keys: {effect}", err=True)


@keys.command()
def revoke(name: str) -> None:
    """Revoke a key at once; without any key left, every request is refused."""
    path = load_settings().keys_file
    remaining = api_key_file.revoke(path, name)
    typer.echo(f"revoked {name}; {remaining} keys remain", err=True)
    if not remaining:
        typer.echo(f"every request is refused now; without {path} no key is required", err=True)
