"""The closing table, also of a demo in which something failed."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import VerdictManifest
from pipeline.config import EvaluateConfig
from pipeline.demo.summary import (
    Summary,
    deployment_rows,
    drift_rows,
    no_drift_rows,
    retrain_rows,
    score_rows,
    verdict_rows,
)
from pipeline.demo.traffic import shifted_title
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.records import Record
from pipeline.run import RunContext
from pipeline.steps.evaluation.scoring import score_predictions


def test_a_part_that_fails_becomes_a_row() -> None:
    """What came before it and what comes after it is told, and the first error is kept."""
    said = Summary([("served", "demo:1, move 1")])
    with said.part("shifted window"):
        raise UnreachableError("S3 is away", received="a long log")
    with said.part("deployment"):
        raise InvalidInputError("the image failed")
    with said.part("retrain"):
        said.rows += retrain_rows(["retrain__demo__1"], "drift on 60 images")
    assert said.rows == [
        ("served", "demo:1, move 1"),
        ("shifted window", "failed: S3 is away"),
        ("deployment", "failed: the image failed"),
        ("retrain", "cancelled retrain__demo__1"),
    ]
    assert [type(error) for error in said.failures] == [UnreachableError, InvalidInputError]


def test_a_fault_of_the_program_is_no_row() -> None:
    """Only what can be expected to fail is told in the table."""
    with pytest.raises(KeyError), Summary().part("deployment"):
        raise KeyError("x")


def test_a_retrain_that_was_not_started_says_why() -> None:
    """The policy's own words; without any, because the window failed, just that."""
    why = "cool-down until 2026-11-23 12:00 UTC: the last request was at 2026-11-22 12:00 UTC"
    assert retrain_rows([], why) == [("retrain", f"none was started; {why}")]
    assert retrain_rows([], "") == [("retrain", "none was started")]


def test_a_flawless_score_of_sixteen_cells_is_no_certainty() -> None:
    """What the README shows of the demo: four cells of each of four classes, all right."""
    classes = ("A", "B", "C", "D")
    records = [
        Record(sha256="", label=classes[n // 16], file="", archive="", group=f"{n // 4}")
        for n in range(64)
    ]
    right = np.eye(4)[np.arange(64) // 16]
    found = score_predictions(records, right, np.zeros(64), classes, EvaluateConfig())
    ((title, row),) = score_rows({"scores": found.model_dump(mode="json")})
    assert title == "held-out score"
    assert row == (
        "balanced accuracy 1.000 (95 % 0.699 to 1.000) on 64 images of 16 cells; "
        "per cell 1.000 (95 % 0.699 to 1.000)"
    )


def test_a_window_is_told_with_its_reasons() -> None:
    """Verdict, sample, what was sent and what moved."""
    verdict = {"verdict": "alarm", "n": 50, "reasons": ["blue moved", "red moved"]}
    assert drift_rows("shifted window", shifted_title(50, drawn=False), verdict) == [
        (
            "shifted window",
            "alarm (n = 50, the same 50 images through another camera): blue moved; red moved",
        )
    ]


def test_no_deployment_says_why() -> None:
    """A second demo on the same data trains the model that serves."""
    assert deployment_rows([], unchanged=True) == [("deployment", "unchanged: nothing to deploy")]
    assert deployment_rows([], unchanged=False) == [("deployment", "nothing new to ship")]
    assert deployment_rows(["pushed x"], unchanged=False) == [("deployment", "pushed x")]


def test_a_demo_without_unseen_cells_says_so() -> None:
    """It shows no window of cells that the model knows."""
    ((title, text),) = no_drift_rows("demo:1")
    assert title == "drift"
    assert text.startswith("not shown: every cell was fitted to, or scored on, by demo:1")


@pytest.mark.parametrize(("trained", "earlier"), [("demo:1", False), ("demo:2", True)])
def test_a_refused_run_says_that_an_earlier_model_answers(
    tmp_path: Path, trained: str, earlier: bool
) -> None:
    """Its windows alarm on photographs when the model that serves has learned from drawings."""
    store, made = ArtifactStore(LocalStore(), str(tmp_path / "store")), RunContext.now("r", "c")
    (tmp_path / "verdict").mkdir()
    (tmp_path / "verdict" / "verdict.json").write_text('{"checks": [{"passed": false}]}')
    manifest = VerdictManifest(name="demo", tag=trained, passed=False, **made.model_dump())
    uri = store.publish(tmp_path / "verdict", manifest).uri
    pointer = Pointer(
        sequence=1, name="demo", tag="demo:1", served="", evaluation="", verdict="",
        author="gate", reason="", time=made.created_at,
    )  # fmt: skip
    rows = dict(verdict_rows(store, uri, pointer))
    assert rows["gate"] == "refused: 0 of 1 checks"
    assert rows["served"].startswith("demo:1, move 1")
    assert ("an earlier model, which gives the answers below" in rows["served"]) == earlier
