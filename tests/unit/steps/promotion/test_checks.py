"""The gate's checks: which figures pass, and their sentences."""

import re
from typing import Any

import numpy as np
import pytest

from pipeline.artifacts import Parity
from pipeline.config.promotion_gate_limits import GateConfig
from pipeline.records import Record
from pipeline.statistics.intervals import Interval
from pipeline.steps.evaluation.scoring import Scores
from pipeline.steps.promotion.checks import (
    calibration_check,
    champion_checks,
    classes_check,
    data_checks,
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
    """Scores with the fields that the gate reads."""
    sensitivity = sensitivity or {"A": 0.9, "B": 0.7}
    fields: dict[str, Any] = {
        "cells": 5,
        "balanced_accuracy": around(balanced, reach),
        "sensitivity": {name: around(value) for name, value in sensitivity.items()},
    }
    return Scores.model_construct(**fields)


def failed(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if not check.passed]


def counts(*, leaked: tuple[str, ...] = (), spent: int = 0, **fair: int) -> EligibleCells:
    return EligibleCells(images=99, fair=fair, leaked=leaked, spent=dict.fromkeys(fair, spent))


def test_enough_cells_without_copies_pass() -> None:
    """In each class."""
    checks = data_checks(counts(A=9, B=3), CONFIG)
    assert failed(checks) == []
    assert "Fewest: 3 of B (required: 3)" in checks[1].sentence


def test_copies_across_the_split_are_refused_and_listed() -> None:
    """The sentence has their groups."""
    checks = data_checks(counts(leaked=("g1", "g2"), A=9), CONFIG)
    assert failed(checks) == ["copies across the split"]
    assert checks[0].sentence.endswith("g1, g2.")


@pytest.mark.parametrize(
    ("cells", "spent", "sentence"),
    [(0, 0, "B has 0."), (1, 2, "B has 1 (the champion was trained on 2 more).")],
)
def test_a_class_with_too_few_cells_is_refused(cells: int, spent: int, sentence: str) -> None:
    """The sentence has the class, and the cells that the champion was trained on."""
    checks = data_checks(counts(spent=spent, A=9, B=cells), CONFIG)
    assert failed(checks) == ["cells to judge on"]
    assert sentence in checks[1].sentence


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
    """Overall and for each class."""
    assert failed(floor_checks(scored(balanced, **sensitivity), CONFIG)) == expected


@pytest.mark.parametrize(("reach", "passed"), [(0.25, True), (0.35, False)])
def test_the_lower_bound_of_a_first_model_must_reach_its_floor(reach: float, passed: bool) -> None:
    """There is no champion to compare with."""
    check = first_model_check(scored(0.8, reach), CONFIG)
    assert check.passed is passed
    assert "No champion" in check.sentence


@pytest.mark.parametrize(("reach", "passed"), [(0.02, False), (0.06, True)])
def test_the_lower_bound_of_the_calibration_error_decides(reach: float, passed: bool) -> None:
    """Few cells inflate the error."""
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
def test_the_engine_must_agree_with_keras(
    agreement: float, loss: float, expected: list[str]
) -> None:
    """It must predict the same classes and be as accurate; the sentence has its precision."""
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


def test_the_sentence_has_the_share_of_operations() -> None:
    """Low-rank convolutions are an approximation."""
    parity = Parity(
        precision="int8-thin",
        operations=0.556,
        images=1024,
        top1_agreement=0.996,
        max_probability_difference=0.2,
    )
    assert parity_checks(parity, CONFIG)[0].sentence == (
        "At int8-thin, with 56% of the operations, the serving engine predicts Keras's class on "
        "99.6% of 1024 test images (required: 99.5%)."
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
    """A bundle that does not load fails all three checks."""
    assert failed(serving_checks(serving, CONFIG)) == expected


def test_the_sentence_has_the_error_of_the_service() -> None:
    """When the bundle does not load."""
    checks = serving_checks(ServeCheck(ok=False, error="no model.xml"), CONFIG)
    assert checks[0].sentence.endswith("no model.xml")


TRUTH = ["A", "B"] * 100
GROUPS = [str(n) for n in range(200)]


def wrong(share: float, label: str = "") -> list[str]:
    """Predictions of which this share is wrong, of one class only when `label` is given."""
    lost = np.random.default_rng(0).permutation(200) < 200 * share
    return [
        "C" if miss and label in ("", truth) else truth
        for truth, miss in zip(TRUTH, lost, strict=True)
    ]


def against(new: list[str], old: list[str], cells: int = 200, **margins: float) -> list[Check]:
    config = CONFIG.model_copy(update=margins)
    records = images(TRUTH[:cells], GROUPS[:cells], GROUPS[:cells])
    return champion_checks(records, new[:cells], old[:cells], config)


def images(labels: list[str], groups: list[str], cells: list[str]) -> list[Record]:
    return [
        Record(sha256="", label=label, file="", archive="", group=group, cell=cell)
        for label, group, cell in zip(labels, groups, cells, strict=True)
    ]


def test_the_sentence_counts_cells_and_not_groups() -> None:
    """Two patients with five cells of each class have ten cells, and are two groups."""
    cells = [str(n) for n in range(10)]
    same = TRUTH[:10]
    records = images(same, ["p1", "p1", "p2", "p2", "p2"] * 2, cells)
    checks = champion_checks(records, same, same, CONFIG)
    numbers = [check.sentence.split(" cells ")[0].rpartition(" on ")[2] for check in checks]
    assert numbers == ["10", "5", "5"]


def test_an_equal_challenger_is_not_inferior() -> None:
    """Overall and in each class; every interval has a width."""
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


def test_a_loss_in_one_class_is_refused() -> None:
    """Although balanced accuracy is within its margin."""
    checks = against(wrong(0.4, "B"), wrong(0.0), max_loss=0.5)
    assert failed(checks) == ["sensitivity B against the champion"]


def test_the_resampled_lower_bound_decides_and_not_the_value() -> None:
    """The same small loss is refused on few cells, and passes on many."""
    slightly = ["B", *TRUTH[1:]]
    few, many = (against(slightly, TRUTH, cells, max_loss=0.1)[0] for cells in (12, 200))
    assert few.value > -0.1
    assert not few.passed
    assert many.passed


def test_the_sentence_has_change_and_lower_bounds() -> None:
    """In points of a hundred, with the number of cells and the allowed loss."""
    worse, equal = against(wrong(0.3), wrong(0.1))[0], against(wrong(0.1), wrong(0.1))[0]
    assert worse.sentence.startswith("-20.0 points against the champion on 200 cells that neither")
    assert re.search(r"bootstrap over groups: -\d\d\.\d points \(allowed: -5\.0\)", worse.sentence)
    assert equal.sentence.startswith("+0.0 points")
    assert "(0 differ)" in equal.sentence
    assert "Lower bound of the bootstrap over groups: +0.0 points" in equal.sentence
    # A class of 100 leaves 3.6 points, two of them 3.6 / sqrt(2).
    assert "Lower bound of the 95 % interval: -2.6 points" in equal.sentence


def test_the_lower_bound_of_a_gain_may_be_positive() -> None:
    """The whole interval is a gain."""
    better = against(wrong(0.0), wrong(0.5))[0]
    assert better.low is not None
    assert better.low > 0
    assert re.search(r"95 % interval: \+\d\d\.\d points\.$", better.sentence)


@pytest.mark.field("respelt_class")
def test_models_with_the_same_classes_in_any_order_can_be_compared() -> None:
    """Predictions are compared by name."""
    assert classes_check(("A", "B"), ("B", "A")).passed


@pytest.mark.field("respelt_class")
@pytest.mark.parametrize(
    ("challenger", "advice"),
    [
        (("EOSINOPHIL", "Neutrophil"), "in the config's classes: NEUTROPHIL for Neutrophil."),
        (("EOSINOPHIL", "NEUTROPHIL", "BASOPHIL"), "another contract.name."),
        (("EOSINOPHIL",), "another contract.name."),
    ],
)
def test_models_with_other_classes_cannot_be_compared(
    challenger: tuple[str, ...], advice: str
) -> None:
    """The sentence has both lists, and the spelling of a respelt class."""
    check = classes_check(challenger, ("EOSINOPHIL", "NEUTROPHIL"))
    assert not check.passed
    assert f"the challenger has {', '.join(challenger)}; " in check.sentence
    assert "the champion has EOSINOPHIL, NEUTROPHIL. " in check.sentence
    assert advice in check.sentence
