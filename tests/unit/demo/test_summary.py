"""The closing table, also of a demo in which something failed."""

import numpy as np
import pytest

from pipeline.config import EvaluateConfig
from pipeline.demo.summary import Summary, drift_rows, retrain_rows, score_rows
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.records import Record
from pipeline.steps.scoring import scores


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
    found = scores(records, right, np.zeros(64), classes, EvaluateConfig())
    ((title, row),) = score_rows({"scores": found.model_dump(mode="json")})
    assert title == "held-out score"
    assert row == (
        "balanced accuracy 1.000 (95 % 0.699 to 1.000) on 64 images of 16 cells; "
        "per cell 1.000 (95 % 0.699 to 1.000)"
    )


def test_a_window_is_told_with_its_reasons() -> None:
    """Verdict, sample and what moved."""
    verdict = {"verdict": "alarm", "n": 50, "reasons": ["blue moved", "red moved"]}
    assert drift_rows("shifted window", verdict) == [
        ("shifted window", "alarm (n = 50): blue moved; red moved")
    ]
