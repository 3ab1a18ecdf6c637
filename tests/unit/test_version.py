"""The code's version in a checkout, tarball, copy, image and installed package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GIT = shutil.which("git")


def _git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    command = [str(GIT), "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _version(folder: Path, tmp_path: Path, **variables: str) -> str:
    """Version that an interpreter without packages prints for the code in a folder."""
    empty = tmp_path / "empty"
    empty.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "pipeline.version"],
        cwd=empty,
        env={"PYTHONPATH": str(folder), "PATH": str(empty), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit and the files that the version is read from."""
    folder = tmp_path / "repository"
    (folder / "pipeline").mkdir(parents=True)
    for name in ("__init__", "version"):
        shutil.copy(ROOT / "pipeline" / f"{name}.py", folder / "pipeline")
    for name in (".gitattributes", ".git_archival.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    _git(folder, "init", "--quiet")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", "First")
    return folder


def _copy(repository: Path, target: Path) -> Path:
    return shutil.copytree(repository, target, ignore=shutil.ignore_patterns(".git"))


def test_a_checkout_has_its_commit(repository: Path, tmp_path: Path) -> None:
    """The commit with git on PATH; without git the version and `unknown`."""
    here = {"PATH": os.environ["PATH"]}
    assert _version(repository, tmp_path, **here) == _git(repository, "rev-parse", "HEAD")
    assert _version(repository, tmp_path) == "0.1.0+unknown"


def test_a_tarball_has_its_commit(repository: Path, tmp_path: Path) -> None:
    """`git archive` writes it, so neither git nor a repository is needed."""
    _git(repository, "archive", "--output", str(tmp_path / "code.tar"), "HEAD")
    (tmp_path / "code").mkdir()
    # tarfile of Python before 3.11.4 has no extraction filters.
    subprocess.run(["tar", "-xf", tmp_path / "code.tar", "-C", tmp_path / "code"], check=True)
    assert _version(tmp_path / "code", tmp_path) == _git(repository, "rev-parse", "HEAD")


def test_a_copy_inside_another_repository_has_no_commit(repository: Path, tmp_path: Path) -> None:
    """A repository around a copy without .git does not count."""
    copy = _copy(repository, repository / "vendored" / "leukoflow")
    here = {"PATH": os.environ["PATH"]}
    assert _version(copy, tmp_path, **here) == _version(copy, tmp_path) == "0.1.0+unknown"


def test_an_image_has_the_version_of_its_build(repository: Path, tmp_path: Path) -> None:
    """The variable wins, unless it is empty, as Compose passes it by default."""
    copy = _copy(repository, tmp_path / "copy")
    assert _version(copy, tmp_path, CODE_VERSION="abc") == "abc"
    assert _version(copy, tmp_path, CODE_VERSION="") == "0.1.0+unknown"


def test_an_installed_package_has_its_version(repository: Path, tmp_path: Path) -> None:
    """A wheel has metadata in place of sources."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(repository)], check=True)
    (wheel,) = tmp_path.glob("leukoflow-*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(tmp_path / "installed"), str(wheel)], check=True)
    assert _version(tmp_path / "installed", tmp_path) == "0.1.0"
