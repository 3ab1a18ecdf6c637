"""Every copy of the code knows what it is: asked in a process that finds no git."""

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


def _ask(folder: Path, tmp_path: Path, **variables: str) -> str:
    """What an interpreter without this environment's packages prints for the code in a folder."""
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
    """A repository of one commit with the files that a version is read from."""
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


def test_a_checkout_says_its_commit(repository: Path, tmp_path: Path) -> None:
    """With git on PATH it is the commit; without, the version, and that the commit is unknown."""
    here = {"PATH": os.environ["PATH"]}
    assert _ask(repository, tmp_path, **here) == _git(repository, "rev-parse", "HEAD")
    assert _ask(repository, tmp_path) == "0.1.0+unknown"


def test_a_tarball_says_the_commit_it_was_made_of(repository: Path, tmp_path: Path) -> None:
    """`git archive` writes it down, so that neither git nor a repository is needed."""
    _git(repository, "archive", "--output", str(tmp_path / "code.tar"), "HEAD")
    (tmp_path / "code").mkdir()
    # Python 3.11 before .4 has no filters for what its own tarfile unpacks.
    subprocess.run(["tar", "-xf", tmp_path / "code.tar", "-C", tmp_path / "code"], check=True)
    assert _ask(tmp_path / "code", tmp_path) == _git(repository, "rev-parse", "HEAD")


def test_a_copy_inside_another_repository_is_not_that_repository(
    repository: Path, tmp_path: Path
) -> None:
    """A copy without .git has no commit, whatever repository lies around it."""
    copy = _copy(repository, repository / "vendored" / "leukoflow")
    here = {"PATH": os.environ["PATH"]}
    assert _ask(copy, tmp_path, **here) == _ask(copy, tmp_path) == "0.1.0+unknown"


def test_an_image_says_what_it_was_built_from(repository: Path, tmp_path: Path) -> None:
    """The variable wins; empty, as Compose passes it by itself, it says nothing."""
    copy = _copy(repository, tmp_path / "copy")
    assert _ask(copy, tmp_path, CODE_VERSION="abc") == "abc"
    assert _ask(copy, tmp_path, CODE_VERSION="") == "0.1.0+unknown"


def test_an_installed_package_says_its_version(repository: Path, tmp_path: Path) -> None:
    """A wheel has metadata in place of sources; it need not be in `sys.path` by name."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(repository)], check=True)
    (wheel,) = tmp_path.glob("leukoflow-*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(tmp_path / "installed"), str(wheel)], check=True)
    assert _ask(tmp_path / "installed", tmp_path) == "0.1.0"
