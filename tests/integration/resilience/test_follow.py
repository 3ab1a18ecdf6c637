"""A service that follows the pointer while eight clients send requests without pause."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.adapters.pointer_store import Pointer
from pipeline.artifacts import Artifact, ServedManifest
from pipeline.run_context import RunContext
from tests.integration.resilience.clients import Clients, counted, sending
from tests.integration.resilience.mutants import MUTANTS, Mutant
from tests.integration.service.asking import worker_of
from tests.integration.waiting import wait_for
from tests.unit.steps.promotion.promotion_harness import PromotionHarness

pytestmark = pytest.mark.integration
Serve = Callable[..., AbstractContextManager[str]]


@dataclass
class Scene:
    """A service that follows a pointer, and its clients."""

    url: str
    stage: Any
    folder: Path
    clients: Clients

    @property
    def log(self) -> str:
        """The service log."""
        return (self.folder / "service.log").read_text()

    @property
    def card(self) -> Any:
        """The model card."""
        return httpx.get(f"{self.url}/model", timeout=30).raise_for_status().json()

    def refusals(self, reason: str) -> float:
        """Number of refused models with this reason."""
        return counted(self.url, f'leukoflow_reload_failures_total{{reason="{reason}"}}')


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory,
    make_stage: Callable[[Path], Any],
    serve: Serve,
    cell_image: Callable[..., bytes],
) -> Iterator[Scene]:
    """A service with a model and eight clients; asserts at the end that no request failed."""
    folder = tmp_path_factory.mktemp("follow")
    (folder / "tmp").mkdir()
    stage = make_stage(folder / "store")
    stage.point_to(stage.publish(folder / "first", 0))
    variables = {"TMPDIR": str(folder / "tmp"), "MAX_ANSWER_MS": "300"}
    with serve(folder, stage.root, **variables) as url:
        wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        with sending(url, cell_image(0)) as clients:
            yield Scene(url, stage, folder, clients)
    assert clients.failures == []
    assert clients.requests > 300


@pytest.mark.slow
def test_twenty_promotions_and_five_rollbacks_fail_no_request(scene: Scene, tmp_path: Path) -> None:
    """Each client sees every model in order; old models leave no memory or files."""
    harness = PromotionHarness(scene.stage.artifacts, scene.stage.contract.name)
    models = [scene.stage.publish(tmp_path / f"{seed}", seed) for seed in range(1, 7)]
    moves, waits = list(harness.pointers.history()), []
    wait_for(lambda: all(scene.clients.responses))
    before = worker_of(scene.url).memory_info().rss / 1e6
    for move in range(25):
        moves.append(back(harness) if move % 5 == 4 else forward(harness, models[move % 6]))
        started = time.monotonic()
        wait_for(lambda: scene.clients.all_see(moves[-1].tag))
        waits.append(time.monotonic() - started)
        assert scene.card["promoted"]["sequence"] == moves[-1].sequence
    assert [move.kind for move in moves[1:]] == [*["promotion"] * 4, "rollback"] * 5
    assert scene.clients.failures == []
    assert scene.clients.tags() == [[move.tag for move in moves]] * 8
    assert max(waits) < 15
    assert worker_of(scene.url).memory_info().rss / 1e6 - before < 100
    assert list((scene.folder / "tmp").glob("leukoflow-model-*")) == []
    assert counted(scene.url, f'leukoflow_model{{tag="{moves[-1].tag}"}}') == 1
    assert counted(scene.url, f'leukoflow_model{{tag="{moves[-2].tag}"}}') == 0


def forward(harness: PromotionHarness, served: Artifact[ServedManifest]) -> Pointer:
    """Evaluate a model against the champion and promote it with approval, in its own run."""
    run = RunContext.now(f"move-{len(harness.pointers.history())}", "test")
    return harness.attempt(harness.judge(served), approved_at=run.created_at, run=run).pointer


def back(harness: PromotionHarness) -> Pointer:
    """Roll back to the model before this one."""
    history = harness.pointers.history()
    return harness.back(history[-2].tag)


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(mutant, id=name, marks=[pytest.mark.slow] if name == "slow" else [])
        for name, mutant in MUTANTS.items()
    ],
)
def test_a_mutant_is_refused_and_the_previous_model_stays(
    scene: Scene, tmp_path: Path, mutant: Mutant
) -> None:
    """Under traffic: counted and logged with its reason, and never served."""
    serving, refused = scene.card, scene.refusals(mutant.reason)
    before, logged = scene.clients.requests, len(scene.log)
    uri = mutant.publish(scene.stage, tmp_path)
    expected = scene.stage.pointers.read()
    tag = f"{scene.stage.contract.name}:{7:012x}"
    scene.stage.pointers.move(expected.model_copy(update={"served": uri, "tag": tag}), expected)
    wait_for(lambda: scene.refusals(mutant.reason) == refused + 1, 120)
    wait_for(lambda: scene.clients.requests > before + 20)
    (line,) = [row for row in scene.log[logged:].splitlines() if "is refused" in row]
    assert f"({mutant.reason})" in line
    assert mutant.words in scene.log[logged:]
    assert scene.card == serving
    assert scene.clients.all_see(serving["tag"])
    assert not list(scene.folder.rglob("escaped"))
    assert list((scene.folder / "tmp").glob("leukoflow-model-*")) == []


def test_a_pointer_to_another_tag_is_refused(scene: Scene, tmp_path: Path) -> None:
    """The pointer's tag must be the bundle's own, and so must the name."""
    serving, refused = scene.card, scene.refusals("unfit")
    pointer = scene.stage.point_to(scene.stage.publish(tmp_path / "good", 8))
    lie = pointer.model_copy(update={"tag": "blood_cells:ffffffffffff"})
    wait_for(lambda: scene.card["promoted"]["sequence"] == pointer.sequence)
    serving = scene.card
    scene.stage.pointers.move(lie, pointer)
    wait_for(lambda: scene.refusals("unfit") == refused + 1)
    assert "leads to another model" in scene.log
    assert scene.card == serving


def test_an_invalid_pointer_is_refused_once_and_the_next_one_followed(
    scene: Scene, tmp_path: Path
) -> None:
    """Invalid JSON is logged once, not at every poll; a repaired pointer is followed."""
    served = scene.stage.publish(tmp_path / "next", 9)
    path = scene.stage.root / "pointer/blood_cells/pointer.json"
    genuine = path.read_bytes()
    refused, logged = scene.refusals("unfit"), len(scene.log)
    path.write_bytes(genuine[: len(genuine) // 2])
    wait_for(lambda: scene.refusals("unfit") == refused + 1)
    time.sleep(1.5)
    assert scene.refusals("unfit") == refused + 1
    assert scene.log[logged:].count("is refused (unfit)") == 1
    path.write_bytes(genuine)
    pointer = scene.stage.point_to(served)
    wait_for(lambda: scene.clients.all_see(pointer.tag))
    assert scene.card["promoted"]["sequence"] == pointer.sequence


def test_a_shadow_challenger_is_counted_and_never_served(
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    serve: Serve,
    cell_image: Callable[..., bytes],
) -> None:
    """It scores images in idle time; responses and log name only the served model."""
    stage = make_stage(tmp_path / "store")
    pointer = stage.point_to(stage.publish(tmp_path / "served", 0))
    served = stage.publish(tmp_path / "challenger", 1)
    tag = served.manifest.tag
    stage.pointers.set_shadow(pointer.model_copy(update={"served": served.uri, "tag": tag}))
    series = f'leukoflow_shadow_total{{agree="yes",tag="{tag}"}}'

    def score_one(url: str) -> bool:
        answer = httpx.post(f"{url}/classify", files={"image": ("x", cell_image(0))})
        assert answer.json()["tag"] == pointer.tag
        return series in httpx.get(f"{url}/metrics").text

    with serve(tmp_path, stage.root) as url:
        wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        wait_for(lambda: score_one(url))
        assert counted(url, f'leukoflow_shadow_model{{tag="{tag}"}}') == 1
        stage.pointers.set_shadow(None)
        wait_for(lambda: counted(url, f'leukoflow_shadow_model{{tag="{tag}"}}') == 0)
    logged = [path.read_text() for path in (stage.root / "logs").rglob("*.jsonl")]
    assert logged
    assert tag not in "".join(logged)
