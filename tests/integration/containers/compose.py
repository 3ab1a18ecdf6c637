"""Parser of docker-compose.yml: commands, environment and health checks of each service.

Supports the part of https://compose-spec.io that the file uses: variables as `${NAME}`,
`${NAME:-default}` and `${NAME:?}`, a doubled dollar sign, commands as a string or a list, and
health checks of both kinds.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\}|)")


@dataclass(frozen=True)
class Service:
    """One service, with all variables substituted."""

    name: str
    image: str
    build: Mapping[str, str]
    """Arguments of its Dockerfile; empty for a public image."""
    command: list[str]
    """Entry point and command; empty to use those of the image."""
    environment: Mapping[str, str]
    healthcheck: list[str]
    """Command that exits with 0 if the service is healthy; empty without a health check."""
    depends_on: Mapping[str, str]
    """Other services and the condition that each must meet before the start."""
    volumes: Mapping[str, str]
    """Folder in the container to the name of its volume."""
    files: Mapping[str, str]
    """Path in the container to the content of a config."""
    network_of: str
    """Service whose network it shares; its own name if it has a separate network."""


def read(variables: Mapping[str, str]) -> dict[str, Service]:
    """The services of docker-compose.yml.

    Args:
        variables: from `.env` and the environment.

    Raises:
        KeyError: a required variable is missing or empty.
        ValueError: a dollar sign is neither doubled nor followed by braces.
    """
    document = resolve(yaml.safe_load(FILE.read_text()), variables)
    contents = {name: entry["content"] for name, entry in document.get("configs", {}).items()}
    return {name: _service(name, entry, contents) for name, entry in document["services"].items()}


def generate_passwords(folder: Path) -> dict[str, str]:
    """Variables that `python docker/passwords.py` writes into the `.env` of an empty checkout."""
    (folder / "docker").mkdir()
    script = shutil.copy(ROOT / "docker" / "passwords.py", folder / "docker")
    shutil.copy(FILE, folder)
    subprocess.run([sys.executable, script], check=True)
    pairs = (line.partition("=") for line in (folder / ".env").read_text().splitlines())
    return {name: value for name, _, value in pairs}


def resolve(node: Any, variables: Mapping[str, str]) -> Any:
    """A YAML tree with its variables substituted."""
    if isinstance(node, dict):
        return {key: resolve(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [resolve(value, variables) for value in node]
    return _VARIABLE.sub(lambda m: _value(m, variables), node) if isinstance(node, str) else node


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    dollar, name, operator, default = match.groups()
    if dollar:
        return "$"
    if name is None:
        raise ValueError(f"single dollar sign, expected $$ or ${{NAME}}: {match.string}")
    if value := variables.get(name):
        return value
    if operator == "?":
        raise KeyError(f"the Compose file requires the variable {name}")
    return default or ""


def _service(name: str, entry: dict[str, Any], contents: Mapping[str, str]) -> Service:
    mounts = (volume.split(":") for volume in entry.get("volumes", []))
    depends = entry.get("depends_on", {})
    network = entry.get("network_mode", "").removeprefix("service:")
    return Service(
        name=name,
        image=entry["image"],
        build=entry.get("build", {}).get("args", {}),
        command=_words(entry.get("entrypoint")) + _words(entry.get("command")),
        environment={key: str(value) for key, value in entry.get("environment", {}).items()},
        healthcheck=_check(entry.get("healthcheck", {}).get("test", [])),
        depends_on={other: rule["condition"] for other, rule in depends.items()},
        volumes={target: volume for volume, target, *_ in mounts},
        files={config["target"]: contents[config["source"]] for config in entry.get("configs", [])},
        network_of=network or name,
    )


def _words(command: str | list[str] | None) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else list(command or [])


def _check(test: list[str]) -> list[str]:
    kind, *command = test or ["NONE"]
    return ["/bin/sh", "-c", *command] if kind == "CMD-SHELL" else command
