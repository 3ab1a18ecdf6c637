"""Trainings that are killed, run out of disk space, or find MLflow unreachable."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import PointerStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import MANIFEST, Manifest
from pipeline.sample.archive import write_archive
from pipeline.settings import Settings
from tests.integration.training.killed import run_and_kill
from tests.integration.training.trained import champion_tag, write_config, write_weights

pytestmark = [pytest.mark.integration, pytest.mark.slow]

UNREACHABLE = "http://127.0.0.1:9"
KINDS = {kind.model_fields["kind"].default: kind for kind in Manifest.__subclasses__()}
STEPS = (
    *("archive", "snapshot", "dataset", "grouping", "split", "pack", "features", "bundle"),
    *("served", "evaluation", "verdict"),
)
"""Artefacts that a run publishes, in order."""


@dataclass(frozen=True)
class Workspace:
    """An archive of drawn cells, a config and weights; each run is a separate process."""

    folder: Path
    weights: str

    @property
    def root(self) -> Path:
        """Root of the store."""
        return self.folder / "store"

    @property
    def store(self) -> ArtifactStore:
        """The store with the artefacts of all runs."""
        return ArtifactStore(LocalStore(), str(self.root))

    def run(self, *options: str, killed_before: str = "", **variables: str) -> tuple[int, str]:
        """Exit code and output of `leukoflow run`."""
        return self.leukoflow(
            *("run", "--archive", str(self.folder / "drawn.zip"), *options),
            killed_before=killed_before,
            **variables,
        )

    def leukoflow(
        self, command: str, *options: str, killed_before: str = "", **variables: str
    ) -> tuple[int, str]:
        """Exit code and output of a command with this workspace's config."""
        environment = {
            "LEUKOFLOW_HOME": str(self.folder / "home"),
            "STORE_URI": str(self.root),
            "WEIGHTS_URI": self.weights,
            "MODEL_NAME": "tiny",
            "MLFLOW_TRACKING_URI": UNREACHABLE,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            **variables,
        }
        words = [command, *options, "--config", str(self.folder / "tiny.yaml")]
        if killed_before:
            return run_and_kill(words, environment, killed_before, self.folder / "killed.log")
        process = subprocess.run(
            [sys.executable, "-m", "pipeline", *words],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return process.returncode, process.stdout + process.stderr

    def visible(self) -> set[str]:
        """Addresses of the artefacts with a manifest, after a check that all are intact."""
        published = {path.parent for path in self.root.rglob(MANIFEST)}
        damaged = [
            path
            for path in published
            if self.store.intact(str(path), KINDS[path.relative_to(self.root).parts[0]]) is None
        ]
        assert damaged == []
        return {str(path.relative_to(self.root)) for path in published}

    def served(self) -> str:
        """Tag of the serving model, or an empty string."""
        pointer = PointerStore(self.store.objects, self.store.root, "tiny").read()
        return pointer.tag if pointer else ""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """24 images of each of four classes, and a store with one complete run."""
    folder = tmp_path_factory.mktemp("crash")
    write_config(folder / "tiny.yaml")
    write_archive(folder / "drawn.zip", seed=3, cells_per_class=8, copies=3)
    workspace = Workspace(folder, write_weights(folder / "weights"))
    status, output = workspace.run("--untracked")
    assert status == 0, output
    return workspace


def test_a_killed_run_repeats_only_the_killed_step(workspace: Workspace, tmp_path: Path) -> None:
    """After a kill in each step and one at the pointer, all artefacts are intact and the same.

    Equal addresses mean equal bytes, so the twelve killed runs left no trace in the model.
    """
    reference, tag = workspace.visible(), workspace.served()
    workspace.root.rename(tmp_path / "reference")
    before: set[str] = set()
    for step in STEPS:
        status, output = workspace.run("--untracked", killed_before=f"/{step}/")
        assert status == -9, output
        visible = workspace.visible()
        assert before <= visible
        assert _without_times(visible) <= reference
        assert not any(address.startswith(f"{step}/") for address in visible)
        before = visible
    assert workspace.run("--untracked", killed_before="/pointer/")[0] == -9
    assert workspace.served() == ""
    assert workspace.run("--untracked")[0] == 0
    assert _without_times(workspace.visible()) == _without_times(reference)
    assert workspace.served() == tag


def _without_times(addresses: set[str]) -> set[str]:
    """Without evaluations and verdicts, which contain times."""
    return {one for one in addresses if not one.startswith(("evaluation/", "verdict/"))}


def test_after_a_full_disk_the_next_run_resumes(workspace: Workspace, small_disk: Path) -> None:
    """The disk is full when the model is written. The error is one line, without a traceback."""
    store = {"STORE_URI": str(small_disk / "store")}
    status, output = workspace.run("--untracked", **store)
    assert status == 4
    assert "the disk is full" in output.splitlines()[-1]
    assert "Traceback" not in output
    assert not list(small_disk.rglob(".part-*"))
    written = {path: path.stat().st_mtime_ns for path in small_disk.rglob(MANIFEST)}
    assert any("/pack/" in str(path) for path in written)
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    assert workspace.run("--untracked", **store)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_only_a_truncated_pack_is_computed_again(workspace: Workspace) -> None:
    """The other pack is unchanged."""
    truncated, intact = sorted(workspace.root.rglob("activations.npy"))
    truncated.write_bytes(truncated.read_bytes()[:-100])
    written, expected = intact.stat().st_mtime_ns, workspace.served()
    assert expected
    status, output = workspace.run("--untracked")
    assert status == 0, output
    assert "activations.npy does not match its manifest" in output
    assert intact.stat().st_mtime_ns == written
    assert workspace.visible()
    assert workspace.served() == expected


def test_without_mlflow_a_run_does_not_promote(
    workspace: Workspace, mlflow_server: Settings, tmp_path: Path
) -> None:
    """The last line has the verdict, and `promote` with it succeeds once MLflow is reachable."""
    shutil.move(workspace.root, tmp_path)
    status, output = workspace.run()
    assert status == 3
    assert "nothing was promoted" in output
    assert workspace.served() == ""
    (verdict,) = (path for path in workspace.visible() if path.startswith("verdict/"))
    assert f"{workspace.root}/{verdict}" in output.splitlines()[-1]
    uri = mlflow_server.mlflow_tracking_uri
    status, output = workspace.leukoflow(
        "promote", f"{workspace.root}/{verdict}", MLFLOW_TRACKING_URI=uri
    )
    assert status == 0, output
    assert champion_tag(uri, "tiny") == workspace.served() != ""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 66 MB: too small for the model, large enough for the other files."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=66m", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk needs root and mount: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)
