"""ci.yml, the hooks and the Makefile, run as a normal user in a clean checkout without our venv."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.embedded.processes.temporary_parts import on_free_ports

ROOT = Path(__file__).resolve().parents[3]
ADDRESSES = (
    "aws_endpoint_url_s3",
    "mlflow_tracking_uri",
    "airflow_url",
    "service_url",
    "reports_url",
)
NOBODY = 65534
JOBS: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
PATH = "/usr/local/bin:/usr/bin:/bin"
NETWORK = ("PIP_", "UV_", "NPM_", "NODE_", "SSL_", "HTTP", "http", "https", "NO_PROXY", "no_proxy")
"""Variables with which this machine reaches package registries; no others are inherited."""
NOT_OURS = (".git", ".venv", ".leukoflow", "node_modules", "__pycache__", "artifacts", "*.egg-info")
COLLECT = "--collect-only -q"
NARROW = (
    "-q -m 'not integration and not slow' tests/unit/adapters tests/unit/bento_service "
    "tests/unit/contract tests/unit/embedded tests/unit/test_compose.py tests/unit/test_version.py "
    "tests/unit/steps/deployment/test_container_image.py tests/architecture/test_docs.py"
)
"""`make test` collects all tests, and runs those that could need root, a server or real images; the
others would double the time of .ci/run."""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="to become another user needs root"),
]


@dataclass(frozen=True)
class Checkout:
    """Copy of this checkout, owned by an unprivileged user, and that user's empty home."""

    folder: Path
    home: Path

    def run(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a step as GitHub does: `bash -e`, CI=true, and the network's variables only."""
        network = {name: value for name, value in os.environ.items() if name.startswith(NETWORK)}
        base = {"PATH": PATH, "HOME": str(self.home), "CI": "true", "LANG": "C.UTF-8"}
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=self.folder,
            env=network | base | variables,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """The working tree as actions/checkout leaves it: a git checkout, here owned by nobody."""
    with tempfile.TemporaryDirectory(prefix="leukoflow-ci-") as name:
        copy = Checkout(Path(name) / "leukoflow", Path(name) / "home")
        shutil.copytree(ROOT, copy.folder, ignore=shutil.ignore_patterns(*NOT_OURS), symlinks=True)
        copy.home.mkdir()
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", name], check=True)
        author = "-c user.name=ci -c user.email=ci@localhost"
        made = copy.run(f"git init -q && git add -A && git {author} commit -q -m checkout")
        assert made.returncode == 0, made.stderr
        yield copy


def commands(job: str) -> list[str]:
    """Scripts of a job, in order."""
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def without_docker(script: str) -> str:
    """The script without lines that need Docker's engine (noted in ci.yml)."""
    lines = script.splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("docker "))


def pythons() -> list[str]:
    """Versions of the test job's matrix that this machine has for a normal user."""
    versions = JOBS["test"]["strategy"]["matrix"]["python"]
    return [version for version in versions if shutil.which(f"python{version}", path=PATH)]


def test_every_job_has_its_test() -> None:
    """Every job of ci.yml is run by a test here."""
    assert list(JOBS) == ["lint", "test", "build", "required"]
    assert pythons()


def test_lint(checkout: Checkout) -> None:
    """`make lint` builds its environment and passes."""
    for script in commands("lint"):
        done = checkout.run(script)
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        assert "zizmor" in done.stdout


@pytest.mark.parametrize("version", pythons())
def test_test(checkout: Checkout, version: str) -> None:
    """`make test` passes without root and real images, and lists the skipped tests."""
    venv = checkout.folder / ".venv"
    if not (venv / f"bin/python{version}").exists():
        shutil.rmtree(venv, ignore_errors=True)
    for script in commands("test"):
        for options in (COLLECT, NARROW):
            done = checkout.run(script, PYTHON=f"python{version}", PYTEST_ADDOPTS=options)
            assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        assert "SKIPPED" in done.stdout
        assert "TEST_DATA" in done.stdout


def test_build(checkout: Checkout) -> None:
    """All secrets of the Compose file are generated; Docker's commands run on GitHub only."""
    for script in commands("build"):
        done = checkout.run(without_docker(script))
        assert done.returncode == 0, done.stderr
    written = (checkout.folder / ".env").read_text()
    assert "AWS_SECRET_ACCESS_KEY=" in written
    assert (checkout.folder / ".env").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("results", "code"), [("success success success", 0), ("success failure success", 1)]
)
def test_required(checkout: Checkout, results: str, code: int) -> None:
    """The one required check passes only if every job did."""
    (script,) = commands("required")
    assert checkout.run(script, RESULTS=results).returncode == code


def test_hooks(checkout: Checkout) -> None:
    """The hooks of CONTRIBUTING install, and a clean checkout passes all of them."""
    done = checkout.run(".venv/bin/pre-commit install && .venv/bin/pre-commit run --all-files")
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert done.stdout.count("Passed") == 4


def test_up_status_down(checkout: Checkout, tmp_path: Path) -> None:
    """The stack starts without root, is healthy and stops; data and passwords stay."""
    settings = on_free_ports(tmp_path / "ports")
    ports = {name.upper(): getattr(settings, name) for name in ADDRESSES}
    try:
        up = checkout.run("make up", **ports)
        assert up.returncode == 0, (up.stdout + up.stderr)[-6000:]
        status = checkout.run("make status")
        assert status.returncode == 0, status.stdout
        assert status.stdout.count("healthy") == 8
    finally:
        down = checkout.run("make down")
    assert down.returncode == 0, down.stderr
    assert checkout.run("make status").returncode != 0
    assert (checkout.folder / ".leukoflow" / "stack.env").stat().st_mode & 0o077 == 0


def test_help_and_scoreboard(checkout: Checkout) -> None:
    """`make help` lists the targets; a scoreboard without results names the command for them."""
    assert "make demo" in checkout.run("make help").stdout
    done = checkout.run("make scoreboard")
    assert done.returncode != 0
    assert "run `make bench` first" in done.stderr


def test_clean(checkout: Checkout) -> None:
    """Build products are removed; the stack's data and passwords stay."""
    done = checkout.run("make clean")
    assert done.returncode == 0, done.stderr
    assert not (checkout.folder / ".venv").exists()
    assert not list(checkout.folder.rglob("__pycache__"))
    assert (checkout.folder / ".leukoflow" / "stack.env").is_file()
