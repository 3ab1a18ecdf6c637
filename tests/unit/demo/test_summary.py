"""Closing table of the demo, also after failures."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import VerdictManifest
from pipeline.config.evaluation import EvaluateConfig
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
from pipeline.run_context import RunContext
from pipeline.steps.evaluation.scoring import score_predictions


def test_a_failed_section_becomes_a_row() -> None:
    """Rows before and after it stay, and the errors are kept in order."""
    report = Summary([("served", "demo:1 (pointer sequence 1)")])
    with report.section("shifted window"):
        raise UnreachableError("S3 is unreachable", received="a long log")
    with report.section("deployment"):
        raise InvalidInputError("the image failed")
    with report.section("retrain"):
        report.rows += retrain_rows(["retrain__demo__1"], "drift on 60 images")
    assert report.rows == [
        ("served", "demo:1 (pointer sequence 1)"),
        ("shifted window", "failed: S3 is unreachable"),
        ("deployment", "failed: the image failed"),
        ("retrain", "cancelled retrain__demo__1"),
    ]
    assert [type(error) for error in report.failures] == [UnreachableError, InvalidInputError]


def test_an_unexpected_error_is_no_row() -> None:
    """Only a `PipelineError` becomes a row; any other error ends the demo."""
    with pytest.raises(KeyError), Summary().section("deployment"):
        raise KeyError("x")


def test_a_retrain_that_was_not_started_says_why() -> None:
    """The row has the policy's reason, if monitoring got that far."""
    why = "cool-down until 2026-11-23 12:00 UTC: the last request was at 2026-11-22 12:00 UTC"
    assert retrain_rows([], why) == [("retrain", f"not started: {why}")]
    assert retrain_rows([], "") == [("retrain", "not started")]


def test_a_perfect_score_on_sixteen_cells_has_a_wide_interval() -> None:
    """As in the README: four cells of each of four classes, all classified correctly."""
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


def test_a_window_has_its_reasons() -> None:
    """The row has result, sample size, content and reasons."""
    result = {"verdict": "alarm", "n": 50, "reasons": ["blue: 2x", "red: 3x"]}
    assert drift_rows("shifted window", shifted_title(50, drawn=False), result) == [
        (
            "shifted window",
            "alarm (n = 50, the same 50 images, blurred and in a warmer light): blue: 2x; red: 3x",
        )
    ]


def test_no_deployment_says_why() -> None:
    """A second demo on the same data reproduces the champion, so nothing is deployed."""
    assert deployment_rows([], unchanged=True) == [("deployment", "unchanged: nothing to deploy")]
    assert deployment_rows([], unchanged=False) == [("deployment", "nothing new to deploy")]
    assert deployment_rows(["pushed x"], unchanged=False) == [("deployment", "pushed x")]


def test_a_demo_without_unseen_cells_says_so() -> None:
    """It sends no window of cells that the model was trained on."""
    ((title, text),) = no_drift_rows("demo:1")
    assert title == "drift"
    assert text.startswith("not shown: demo:1 was trained or evaluated on every cell")


@pytest.mark.parametrize(("trained", "earlier"), [("demo:1", False), ("demo:2", True)])
def test_a_refused_run_names_the_earlier_champion(
    tmp_path: Path, trained: str, earlier: bool
) -> None:
    """Otherwise an alarm on photographs, of a champion trained on drawings, has no explanation."""
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
    assert rows["served"].startswith("demo:1 (pointer sequence 1)")
    assert ("the model of an earlier run makes the predictions below" in rows["served"]) == earlier
