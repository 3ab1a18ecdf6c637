"""The gate's checks: which figures pass, and what they say."""

from typing import Any

import numpy as np
import pytest

from pipeline.artifacts import Parity
from pipeline.config import GateConfig
from pipeline.statistics.metrics import Interval
from pipeline.steps.evaluation.scoring import Scores
from pipeline.steps.promotion.checks import (
    calibration_check,
    champion_checks,
    evidence_checks,
    first_model_check,
    floor_checks,
    parity_checks,
    serving_checks,
)
from pipeline.steps.promotion.eligible_cells import EligibleCells
from pipeline.steps.promotion.serve_check import ServeCheck
from pipeline.steps.promotion.verdict import Check

CONFIG = GateConfig(
    min_balanced_accuracy=0.6, min_class_sensitivity=0.3, first_min_low=0.5, draws=400
)


def around(value: float, reach: float = 0.1) -> Interval:
    return Interval(value=value, low=value - reach, high=value + reach)


def scored(balanced: float = 0.8, reach: float = 0.1, **sensitivity: float) -> Scores:
    """Scores as far as the gate reads them."""
    found = sensitivity or {"A": 0.9, "B": 0.7}
    read: dict[str, Any] = {
        "cells": 5,
        "balanced_accuracy": around(balanced, reach),
        "sensitivity": {name: around(value) for name, value in found.items()},
    }
    return Scores.model_construct(**read)


def failed(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if not check.passed]


def weighed(*, leaked: tuple[str, ...] = (), spent: int = 0, **fair: int) -> EligibleCells:
    return EligibleCells(images=99, fair=fair, leaked=leaked, spent=dict.fromkeys(fair, spent))


def test_clean_evidence_passes() -> None:
    """No copy, and enough cells of each class."""
    checks = evidence_checks(weighed(A=9, B=3), CONFIG)
    assert failed(checks) == []
    assert "B the fewest, 3 of at least 3" in checks[1].sentence


def test_copies_across_the_split_are_refused_and_named() -> None:
    """An exam whose answers were learned is none."""
    checks = evidence_checks(weighed(leaked=("g1", "g2"), A=9), CONFIG)
    assert failed(checks) == ["copies across the split"]
    assert checks[0].sentence.endswith("g1, g2.")


@pytest.mark.parametrize(
    ("cells", "spent", "told"), [(0, 0, "B has none."), (1, 2, "B has 1 (the champion saw 2 more)")]
)
def test_too_few_cells_are_refused_and_the_class_is_named(
    cells: int, spent: int, told: str
) -> None:
    """A champion that has seen the test cells does not step aside for that."""
    checks = evidence_checks(weighed(spent=spent, A=9, B=cells), CONFIG)
    assert failed(checks) == ["cells to judge on"]
    assert told in checks[1].sentence


@pytest.mark.parametrize(
    ("balanced", "sensitivity", "expected"),
    [
        (0.6, {"A": 0.3, "B": 0.9}, []),
        (0.59, {"A": 0.3, "B": 0.9}, ["balanced accuracy"]),
        (0.7, {"A": 0.29, "B": 0.9}, ["sensitivity A"]),
        (0.1, {"A": 0.1, "B": 0.1}, ["balanced accuracy", "sensitivity A", "sensitivity B"]),
        (float("nan"), {"A": 0.9, "B": 0.9}, ["balanced accuracy"]),
    ],
)
def test_every_floor_must_be_reached(
    balanced: float, sensitivity: dict[str, float], expected: list[str]
) -> None:
    """Overall and class by class: no class is paid for by another."""
    assert failed(floor_checks(scored(balanced, **sensitivity), CONFIG)) == expected


@pytest.mark.parametrize(("reach", "passed"), [(0.25, True), (0.35, False)])
def test_a_first_model_must_be_surely_good(reach: float, passed: bool) -> None:
    """Nobody to compare with is no free pass: the low end of the interval is judged."""
    check = first_model_check(scored(0.8, reach), CONFIG)
    assert check.passed is passed
    assert "No champion" in check.sentence


@pytest.mark.parametrize(("reach", "passed"), [(0.02, False), (0.06, True)])
def test_calibration_is_refused_only_when_it_is_surely_bad(reach: float, passed: bool) -> None:
    """Few cells inflate the error, so the low end of its interval is held against the bound."""
    assert calibration_check(around(0.1, reach), CONFIG).passed is passed


@pytest.mark.parametrize(
    ("agreement", "loss", "expected"),
    [
        (0.995, 0.002, []),
        (0.994, 0.0, ["engine parity"]),
        (1.0, 0.003, ["engine accuracy"]),
        (1.0, -0.1, []),
    ],
)
def test_the_engine_must_answer_as_keras_does(
    agreement: float, loss: float, expected: list[str]
) -> None:
    """What serves names the classes that were trained, is as right, and says its precision."""
    parity = Parity(
        precision="int8",
        images=384,
        top1_agreement=agreement,
        max_probability_difference=0,
        accuracy_loss=loss,
    )
    checks = parity_checks(parity, CONFIG)
    assert [check.name for check in checks if not check.passed] == expected
    assert "At int8 the serving engine" in checks[0].sentence


def test_the_verdict_says_what_the_engine_leaves_out() -> None:
    """Thinner convolutions are an approximation, so the sentence tells how many operations stay."""
    parity = Parity(
        precision="int8-thin",
        operations=0.556,
        images=1024,
        top1_agreement=0.996,
        max_probability_difference=0.2,
    )
    assert parity_checks(parity, CONFIG)[0].sentence == (
        "At int8-thin, with 56% of the operations, the serving engine names Keras's class on "
        "99.6% of 1024 locked images."
    )


@pytest.mark.parametrize(
    ("serving", "expected"),
    [
        (ServeCheck(ok=True, latency_ms=500, megabytes=250), []),
        (ServeCheck(ok=True, latency_ms=501, megabytes=9), ["latency"]),
        (ServeCheck(ok=True, latency_ms=9, megabytes=251), ["size"]),
        (ServeCheck(ok=False, error="no model.xml"), ["serves", "latency", "size"]),
    ],
)
def test_a_model_must_serve_in_time_and_in_size(serving: ServeCheck, expected: list[str]) -> None:
    """A bundle that does not load has no latency to be proud of."""
    assert failed(serving_checks(serving, CONFIG)) == expected


def test_why_it_does_not_serve_is_said() -> None:
    """The service's own words stand in the verdict."""
    said = serving_checks(ServeCheck(ok=False, error="no model.xml"), CONFIG)[0].sentence
    assert said.endswith("no model.xml")


TRUTH = ["A", "B"] * 100
GROUPS = [str(n) for n in range(200)]


def wrong(share: float, label: str = "") -> list[str]:
    """Answers of which this share is wrong, of one class only if one is named."""
    lost = np.random.default_rng(0).permutation(200) < 200 * share
    return [
        "C" if miss and label in ("", truth) else truth
        for truth, miss in zip(TRUTH, lost, strict=True)
    ]


def against(new: list[str], old: list[str], cells: int = 200, **margins: float) -> list[Check]:
    config = CONFIG.model_copy(update=margins)
    groups = GROUPS[:cells]
    return champion_checks(TRUTH[:cells], groups, groups, new[:cells], old[:cells], config)


def test_the_sentence_counts_cells_and_not_groups() -> None:
    """Two patients with five cells of each class: ten cells spoke, which two groups resample."""
    cells = [str(n) for n in range(10)]
    same = TRUTH[:10]
    checks = champion_checks(same, ["p1", "p1", "p2", "p2", "p2"] * 2, cells, same, same, CONFIG)
    counts = [check.sentence.split(" cells ")[0] for check in checks]
    assert counts == ["On 10", "On 5", "On 5"]


def test_an_equal_challenger_is_not_inferior() -> None:
    """Overall and in each class, and no interval is without width."""
    checks = against(wrong(0.3), wrong(0.3))
    assert [check.name.removesuffix(" against the champion") for check in checks] == [
        *("balanced accuracy", "sensitivity A", "sensitivity B")
    ]
    assert all((c.value, c.resampled_low, c.passed) == (0, 0, True) for c in checks)
    assert all(c.low is not None and c.low < -0.01 for c in checks)


def test_a_worse_challenger_is_refused_and_a_better_one_is_not() -> None:
    """The sign is challenger minus champion."""
    assert not failed(against(wrong(0.1), wrong(0.3)))
    assert "balanced accuracy against the champion" in failed(against(wrong(0.3), wrong(0.1)))


def test_no_class_is_paid_for_by_another() -> None:
    """A class that is lost is refused though the whole is within its margin."""
    checks = against(wrong(0.4, "B"), wrong(0.0), max_loss=0.5)
    assert failed(checks) == ["sensitivity B against the champion"]


def test_the_resampled_low_end_decides_and_not_the_value() -> None:
    """Slightly worse on few cells is no proof of being no worse."""
    slightly = ["B", *TRUTH[1:]]
    few, many = (against(slightly, TRUTH, cells, max_loss=0.1)[0] for cells in (12, 200))
    assert few.value > -0.1
    assert not few.passed
    assert many.passed


def test_the_sentence_says_what_is_lost_at_worst() -> None:
    """In points of a hundred, with the cells it was seen on and what is tolerated."""
    worse, equal = against(wrong(0.3), wrong(0.1))[0], against(wrong(0.1), wrong(0.1))[0]
    assert "On 200 cells" in worse.sentence
    assert "20.0 points" in worse.sentence
    assert "and 5.0 points may be lost" in worse.sentence
    assert "is level with the champion; no cell is answered differently" in equal.sentence
    assert "resampling these cells shows no loss" in equal.sentence.lower()
    # A class of 100 leaves 3.6 points, two of them 3.6 / sqrt(2).
    assert "At 95 % so many cells cannot rule out a loss of 2.6 points" in equal.sentence


def test_a_loss_may_be_ruled_out() -> None:
    """Where the whole interval is a gain, the sentence says so."""
    better = against(wrong(0.0), wrong(0.5))[0]
    assert better.low is not None
    assert better.low > 0
    assert better.sentence.endswith("At 95 % a loss is ruled out.")
