"""What a training leaves behind when it is killed, when the disk is full, or MLflow is away."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Registry
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import MANIFEST, Manifest
from pipeline.sample.archive import write_archive
from pipeline.settings import Settings
from tests.integration.training.trained import champion_tag, write_config, write_weights

pytestmark = [pytest.mark.integration, pytest.mark.slow]

NOWHERE = "http://127.0.0.1:9"
KINDS = {kind.model_fields["kind"].default: kind for kind in Manifest.__subclasses__()}
STEPS = (
    *("archive", "snapshot", "dataset", "grouping", "split", "pack", "features", "bundle"),
    *("served", "evaluation", "verdict"),
)
"""What a run publishes, in order."""
KILLED_BEFORE = """
import os, signal, sys
from pipeline import cli
from pipeline.adapters.storage.local import LocalStore

place, write = sys.argv.pop(1), LocalStore.write

def deadly(self, uri, data, **conditions):
    if place in uri and uri.endswith(("/manifest.json", "/pointer.json")):
        os.kill(os.getpid(), signal.SIGKILL)
    return write(self, uri, data, **conditions)

LocalStore.write = deadly
cli.main()
"""
"""`leukoflow`, killed where a step has put up its files and not yet closed them."""


@dataclass(frozen=True)
class Bench:
    """An archive of drawn cells, a config and weights; each run is a process of its own."""

    folder: Path
    weights: str

    @property
    def root(self) -> Path:
        """Of the store."""
        return self.folder / "store"

    @property
    def store(self) -> ArtifactStore:
        """What the runs published."""
        return ArtifactStore(LocalStore(), str(self.root))

    def run(self, *options: str, killed_before: str = "", **variables: str) -> tuple[int, str]:
        """`leukoflow run`: its exit status, and what it said."""
        return self.leukoflow(
            *("run", "--archive", str(self.folder / "drawn.zip"), *options),
            killed_before=killed_before,
            **variables,
        )

    def leukoflow(
        self, command: str, *options: str, killed_before: str = "", **variables: str
    ) -> tuple[int, str]:
        """A command with this bench's config: its exit status, and what it said."""
        script = ["-c", KILLED_BEFORE, killed_before] if killed_before else ["-m", "pipeline"]
        given = {
            "LEUKOFLOW_HOME": str(self.folder / "home"),
            "STORE_URI": str(self.root),
            "WEIGHTS_URI": self.weights,
            "MODEL_NAME": "tiny",
            "MLFLOW_TRACKING_URI": NOWHERE,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            **variables,
        }
        config = str(self.folder / "tiny.yaml")
        done = subprocess.run(
            [sys.executable, *script, command, *options, "--config", config],
            env={**os.environ, **given},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return done.returncode, done.stdout + done.stderr

    def visible(self) -> set[str]:
        """Addresses of the artefacts that are closed; each must be whole."""
        closed = {path.parent for path in self.root.rglob(MANIFEST)}
        damaged = [
            path
            for path in closed
            if self.store.intact(str(path), KINDS[path.relative_to(self.root).parts[0]]) is None
        ]
        assert damaged == []
        return {str(path.relative_to(self.root)) for path in closed}

    def served(self) -> str:
        """Tag of what is served, or nothing."""
        pointer = Registry(self.store.objects, self.store.root, "tiny").read()
        return pointer.tag if pointer else ""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """24 images of each of four classes, and a store with one whole run on them."""
    folder = tmp_path_factory.mktemp("crash")
    write_config(folder / "tiny.yaml")
    write_archive(folder / "drawn.zip", seed=3, cells_per_class=8, copies=3)
    made = Bench(folder, write_weights(folder / "weights"))
    status, said = made.run("--untracked")
    assert status == 0, said
    return made


def test_a_kill_in_each_step_costs_that_step_alone(bench: Bench, tmp_path: Path) -> None:
    """Killed eleven times and once at the pointer: all that shows is whole, and the end the same.

    The same addresses mean the same bytes, so nothing of the twelve cut runs is in the model.
    """
    undisturbed, tag = bench.visible(), bench.served()
    bench.root.rename(tmp_path / "undisturbed")
    before: set[str] = set()
    for step in STEPS:
        status, said = bench.run("--untracked", killed_before=f"/{step}/")
        assert status == -9, said
        visible = bench.visible()
        assert before <= visible
        assert _made_of_data_alone(visible) <= undisturbed
        assert not any(address.startswith(f"{step}/") for address in visible)
        before = visible
    assert bench.run("--untracked", killed_before="/pointer/")[0] == -9
    assert bench.served() == ""
    assert bench.run("--untracked")[0] == 0
    assert _made_of_data_alone(bench.visible()) == _made_of_data_alone(undisturbed)
    assert bench.served() == tag


def _made_of_data_alone(addresses: set[str]) -> set[str]:
    """Without what also says when and by whom it was found."""
    return {one for one in addresses if not one.startswith(("evaluation/", "verdict/"))}


def test_a_full_disk_is_one_clear_line_and_the_next_run_goes_on(
    bench: Bench, small_disk: Path
) -> None:
    """The store's disk is full when the model is written: room is made, and the run repeated."""
    store = {"STORE_URI": str(small_disk / "store")}
    status, said = bench.run("--untracked", **store)
    assert status == 4
    assert "the disk is full" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert not list(small_disk.rglob(".part-*"))
    written = {path: path.stat().st_mtime_ns for path in small_disk.rglob(MANIFEST)}
    assert any("/pack/" in str(path) for path in written)
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    assert bench.run("--untracked", **store)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_a_truncated_pack_costs_that_pack_alone(bench: Bench) -> None:
    """Activations that lost their end are computed again, and no others."""
    torn, whole = sorted(bench.root.rglob("activations.npy"))
    torn.write_bytes(torn.read_bytes()[:-100])
    kept, expected = whole.stat().st_mtime_ns, bench.served()
    assert expected
    status, said = bench.run("--untracked")
    assert status == 0, said
    assert "activations.npy does not match its manifest" in said
    assert whole.stat().st_mtime_ns == kept
    assert bench.visible()
    assert bench.served() == expected


def test_without_mlflow_a_run_ends_and_its_promotion_is_held(
    bench: Bench, mlflow_server: Settings, tmp_path: Path
) -> None:
    """Everything but the promotion is done; the last line says how it goes on, and so it does."""
    shutil.move(bench.root, tmp_path)
    status, said = bench.run()
    assert status == 3
    assert "nothing was promoted" in said
    assert bench.served() == ""
    (verdict,) = (path for path in bench.visible() if path.startswith("verdict/"))
    assert f"{bench.root}/{verdict}" in said.splitlines()[-1]
    uri = mlflow_server.mlflow_tracking_uri
    status, said = bench.leukoflow("promote", f"{bench.root}/{verdict}", MLFLOW_TRACKING_URI=uri)
    assert status == 0, said
    assert champion_tag(uri, "tiny") == bench.served() != ""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 66 MB, which takes the backbone and all else but the model."""
    path = tmp_path / "small"
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=66m", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"a small disk needs root and mount: {made.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)
