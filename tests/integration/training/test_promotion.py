"""The pointer under concurrent promotions, kills, traffic and an unreachable MLflow."""

import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from urllib3.connectionpool import HTTPConnectionPool

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore, UriStore
from pipeline.embedded import environment
from pipeline.embedded.processes.temporary_parts import on_free_ports, running
from pipeline.entrypoints import promotion, served_models
from pipeline.errors import UnreachableError
from pipeline.settings import Settings
from pipeline.steps.promotion.promote import promote_with_retry
from tests.integration.training.trained import champion_tag, variables
from tests.unit.steps.promotion.promotion_harness import PromotionHarness

pytestmark = pytest.mark.integration

DECISION = {"author": "ada", "reason": "a test"}
KILLED = 137


def harness_on(settings: Settings, name: str) -> PromotionHarness:
    return PromotionHarness(ArtifactStore(UriStore(settings), settings.store_uri), name)


@pytest.mark.parametrize("number", range(10))
def test_the_loser_of_two_concurrent_promotions_is_compared_again(
    seaweed: Settings, number: int
) -> None:
    """Ten races on a real S3: no lost update, and no gap in the ledger."""
    racers = [harness_on(seaweed, f"race{number}") for _ in range(2)]
    judged = []

    def run(harness: PromotionHarness, verdict: str) -> None:
        def judge(stale: str) -> str:
            judged.append(stale)
            return harness.judge_again(stale)

        promote_with_retry(verdict, harness.promote, judge)

    with ThreadPoolExecutor(2) as pool:
        for first in range(0, 20, 2):
            verdicts = [racer.judge(racer.model(first + n)) for n, racer in enumerate(racers)]
            list(pool.map(run, racers, verdicts))
    history = racers[0].pointers.history()
    assert len(judged) == 10
    assert [move.sequence for move in history] == list(range(1, 21))
    assert len({move.tag for move in history}) == 20
    assert [racers[0].champion_of(move) for move in history] == [None, *history[:-1]]


def write_config(folder: Path, name: str) -> str:
    """Path of a config for the models of the harness."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"contract": {"name": name, "classes": ["ROUND", "LOBED"]}}))
    return str(path)


def promote_and_die(config: str, verdict: str, last: int) -> bool:
    """Promote in a process that exits instead of its n-th operation; False when it has fewer.

    Operations are requests to S3 and MLflow, and renames in the BentoML store.
    """

    def run() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        left = iter(range(last - 1, -1, -1))
        HTTPConnectionPool.urlopen = exiting(  # type: ignore[method-assign]
            HTTPConnectionPool.urlopen, left
        )
        Path.rename = exiting(Path.rename, left)  # type: ignore[method-assign]
        Path.replace = exiting(Path.replace, left)  # type: ignore[method-assign]
        promotion.promote(config, "killed-run", verdict, DECISION)

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join(120)
    assert child.exitcode in (0, KILLED)
    return child.exitcode == KILLED


def exiting(operation: Callable[..., Any], left: Iterator[int]) -> Callable[..., Any]:
    """An operation that exits the process when a shared counter reaches zero."""

    def counted(*args: Any, **kwargs: Any) -> Any:
        if next(left, None) == 0:
            os._exit(KILLED)
        return operation(*args, **kwargs)

    return counted


@pytest.mark.slow
def test_a_promotion_killed_anywhere_can_be_repeated(
    tmp_path: Path, mlflow_server: Settings
) -> None:
    """Pointer, ledger and both mirrors, for a kill at each request and rename."""
    own = mlflow_server.model_copy(update={"bentoml_home": tmp_path / "bentoml"})
    with variables(environment.stack_variables(own, os.environ)):
        points = next(n for n in range(1, 200) if not killed_and_repeated(own, tmp_path, n)) - 1
    assert points >= 20


def killed_and_repeated(settings: Settings, folder: Path, last: int) -> bool:
    """Kill a second promotion at one operation and repeat it; False when it has fewer."""
    name = f"killed{last}"
    config, harness = write_config(folder, name), harness_on(settings, name)
    old, new = harness.serve(harness.model(1)), harness.model(2)
    verdict = harness.judge(new)
    if not promote_and_die(config, verdict, last):
        return False
    left = harness.pointers.read()
    assert left is not None
    assert left == old or left.tag == new.manifest.tag
    assert promotion.promote(config, "killed-run", verdict, DECISION).served == new.uri
    assert [move.tag for move in harness.pointers.history()] == [old.tag, new.manifest.tag]
    ledger = harness.store.objects.list(f"{harness.store.root}/pointer/{name}/ledger/")
    assert [item.uri[-6] for item in ledger] == ["1", "2"]
    assert champion_tag(settings.mlflow_tracking_uri, name) == new.manifest.tag
    models = settings.bento_home / "models" / name
    assert f"{name}:{(models / 'latest').read_text()}" == new.manifest.tag
    assert (models / (models / "latest").read_text() / "model.xml").read_text() == "model 2"
    return True


def test_repair_updates_mlflow_once_it_is_reachable(tmp_path: Path) -> None:
    """Moves of the pointer stand while MLflow is unreachable; `repair` then sets the alias."""
    home = tmp_path / "home"
    settings = on_free_ports(home).model_copy(update={"store_uri": str(tmp_path / "store")})
    config = write_config(tmp_path, "late")
    harness = PromotionHarness(ArtifactStore(LocalStore(), settings.store_uri), "late")
    first, second = harness.model(1), harness.model(2)
    with variables(environment.stack_variables(settings, os.environ)):
        for model in (first, second):
            verdict = harness.judge(model)
            promote = partial(
                promotion.promote,
                config,
                "late-run",
                verdict,
                DECISION,
            )
            with pytest.raises(UnreachableError, match="nothing was promoted"):
                promote()
            assert promote(untracked=True).served == model.uri
            assert promote().served == model.uri, "a repeated promotion needs no MLflow"
        assert promotion.rollback("late", "", "ada", "worse").tag == first.manifest.tag
        latest = settings.bento_home / "models" / "late" / "latest"
        assert f"late:{latest.read_text()}" == first.manifest.tag
        with pytest.raises(UnreachableError):
            served_models.repair("late")
        with running(settings, "mlflow"):
            assert champion_tag(settings.mlflow_tracking_uri, "late") is None
            shutil.rmtree(latest.parent)
            for _ in range(2):
                assert served_models.repair("late") == harness.pointers.read()
                assert champion_tag(settings.mlflow_tracking_uri, "late") == first.manifest.tag
            assert f"late:{latest.read_text()}" == first.manifest.tag


def test_a_mirror_that_cannot_be_written_does_not_undo_a_promotion(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The BentoML store is a file: promotion and rollback succeed with a warning."""
    (tmp_path / "bentoml").write_text("no folder")
    settings = {
        "LEUKOFLOW_HOME": str(tmp_path / "home"),
        "STORE_URI": str(tmp_path / "store"),
        "BENTOML_HOME": str(tmp_path / "bentoml"),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    }
    harness = PromotionHarness(ArtifactStore(LocalStore(), settings["STORE_URI"]), "odd")
    first, second = harness.model(1), harness.model(2)
    with variables(settings):
        for model in (first, second):
            result = promotion.promote(
                "",
                "odd-run",
                harness.judge(model),
                DECISION,
                untracked=True,
            )
            assert (result.outcome, result.served) == ("promoted", model.uri)
        assert "run `leukoflow repair --name odd`" in caplog.text
        assert str(tmp_path / "bentoml") in caplog.text
        assert promotion.rollback("", first.manifest.tag, "ada", "worse").sequence == 3
        verdict = harness.pointers.history()[1].verdict
        approved = {"author": "ada", "reason": "it was not", "approved_at": datetime.now(UTC)}
        again = promotion.promote("", "later", verdict, approved, untracked=True)
        assert (again.outcome, again.served) == ("promoted", second.uri)
    assert [move.tag for move in harness.pointers.history()] == [
        model.manifest.tag for model in (first, second, first, second)
    ]


def test_a_rollback_under_traffic_fails_no_request(
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    cell_image: Callable[..., bytes],
    serve: Callable[..., AbstractContextManager[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every response is a success of one of the two models, and finally of the earlier one."""
    stage = make_stage(tmp_path / "store")
    tags = [
        stage.point_to(stage.publish(tmp_path / f"bundle{seed}", seed)).tag for seed in range(2)
    ]
    monkeypatch.setenv("STORE_URI", str(stage.root))
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    responses: list[tuple[int, str]] = []
    stopped = threading.Event()

    def send(url: str) -> None:
        with httpx.Client(timeout=30) as client:
            while not stopped.is_set():
                response = client.post(f"{url}/classify", files={"image": ("x", cell_image(0))})
                responses.append((response.status_code, response.json().get("tag", "")))

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, responses[-3:]
            time.sleep(0.05)

    with serve(tmp_path, stage.root) as url, ThreadPoolExecutor(2) as pool:
        until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        clients = [pool.submit(send, url) for _ in range(2)]
        try:
            until(lambda: len(responses) > 20)
            assert promotion.rollback("blood_cells", "", "ada", "worse").tag == tags[0]
            until(lambda: [tag for _, tag in responses[-20:]] == [tags[0]] * 20)
        finally:
            stopped.set()
        for client in clients:
            client.result()
    assert {status for status, _ in responses} == {200}
    assert responses[0][1] == tags[1]
    assert {tag for _, tag in responses} == set(tags)
