"""Judgement of measured figures, and how it is shown."""

from datetime import UTC, datetime

import numpy as np
import pytest

from pipeline.adapters.registry import Pointer
from pipeline.config import GateConfig
from pipeline.modeling.metrics import Interval
from pipeline.steps.evaluate import EngineParity, EvaluationReport
from pipeline.steps.scoring import Scores
from pipeline.steps.verdict import (
    Check,
    ServeCheck,
    Verdict,
    cannot_compare,
    compare,
    floor_checks,
    markdown,
    page,
    parity_check,
    serving_checks,
)

CONFIG = GateConfig(min_balanced_accuracy=0.6, min_class_sensitivity=0.3, max_loss=0.05, draws=400)


def exactly(value: float) -> Interval:
    return Interval(value=value, low=value - 0.1, high=value + 0.1)


def report(balanced: float = 0.8, agreement: float = 1.0, **sensitivity: float) -> EvaluationReport:
    found = sensitivity or {"A": 0.9, "B": 0.7}
    return EvaluationReport(
        tag="cells:0",
        scores=Scores(
            images=10,
            cells=5,
            classes=tuple(found),
            balanced_accuracy=exactly(balanced),
            accuracy=exactly(balanced),
            cell_balanced_accuracy=exactly(balanced),
            sensitivity={name: exactly(value) for name, value in found.items()},
            calibration_error=0.1,
            confusion=((5, 0), (0, 5)),
        ),
        parity=EngineParity(
            top1_agreement=agreement, max_probability_difference=0.0, keras_balanced_accuracy=0.8
        ),
    )


def failed(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if not check.passed]


@pytest.mark.parametrize(
    ("balanced", "sensitivity", "expected"),
    [
        (0.6, {"A": 0.3, "B": 0.9}, []),
        (0.59, {"A": 0.3, "B": 0.9}, ["balanced accuracy"]),
        (0.7, {"A": 0.29, "B": 0.9}, ["sensitivity A"]),
        (0.1, {"A": 0.1, "B": 0.1}, ["balanced accuracy", "sensitivity A", "sensitivity B"]),
    ],
)
def test_every_floor_must_be_reached(
    balanced: float, sensitivity: dict[str, float], expected: list[str]
) -> None:
    """Overall and class by class: no class is paid for by another."""
    assert failed(floor_checks(report(balanced, **sensitivity), CONFIG)) == expected


def test_the_engine_must_agree_with_keras() -> None:
    """What serves is what was trained."""
    assert parity_check(report(agreement=0.99), CONFIG).passed
    assert not parity_check(report(agreement=0.98), CONFIG).passed


@pytest.mark.parametrize(
    ("serving", "expected"),
    [
        (ServeCheck(ok=True, latency_ms=500), []),
        (ServeCheck(ok=True, latency_ms=501), ["latency ms"]),
        (ServeCheck(ok=False, error="no model.xml"), ["serves", "latency ms"]),
    ],
)
def test_a_model_must_serve_in_time(serving: ServeCheck, expected: list[str]) -> None:
    """A bundle that does not load has no latency to be proud of."""
    assert failed(serving_checks(serving, CONFIG)) == expected


def test_why_it_does_not_serve_is_said() -> None:
    """The service's own words stand in the verdict."""
    said = serving_checks(ServeCheck(ok=False, error="no model.xml"), CONFIG)[0].sentence
    assert said.endswith("It said: no model.xml")


TRUTH = ["A", "B"] * 100
GROUPS = [str(n) for n in range(200)]


def wrong(share: float, seed: int = 0) -> list[str]:
    """Answers of which this share is wrong."""
    lost = np.random.default_rng(seed).permutation(200) < 200 * share
    return ["C" if miss else label for label, miss in zip(TRUTH, lost, strict=True)]


def test_an_equal_challenger_is_not_inferior() -> None:
    """The same answers differ by nothing, with no uncertainty: the comparison is paired."""
    check = compare(TRUTH, GROUPS, wrong(0.3), wrong(0.3), CONFIG)
    assert (check.value, check.low, check.high, check.passed) == (0, 0, 0, True)


def test_a_better_challenger_passes_and_a_worse_one_does_not() -> None:
    """The sign is challenger minus champion."""
    better = compare(TRUTH, GROUPS, wrong(0.1), wrong(0.3), CONFIG)
    worse = compare(TRUTH, GROUPS, wrong(0.3), wrong(0.1), CONFIG)
    assert better.passed
    assert better.value == pytest.approx(0.2, abs=0.01)
    assert not worse.passed
    assert worse.value == pytest.approx(-0.2, abs=0.01)


def test_the_interval_decides_and_not_the_value() -> None:
    """Slightly worse on few cells is no proof of being no worse."""
    few, many = (
        compare(
            TRUTH[:n],
            GROUPS[:n],
            ["B", *TRUTH[1:n]],
            TRUTH[:n],
            GateConfig(max_loss=0.1, draws=400),
        )
        for n in (12, 200)
    )
    assert few.value > -0.1
    assert not few.passed
    assert many.passed


def test_copies_of_a_cell_do_not_make_a_proof() -> None:
    """Twelve cells in a hundred copies are twelve cells."""
    check = compare(
        TRUTH[:12] * 100,
        GROUPS[:12] * 100,
        ["B", *TRUTH[1:12]] * 100,
        TRUTH[:12] * 100,
        GateConfig(max_loss=0.1, draws=400),
    )
    assert not check.passed


def test_no_fair_comparison_is_a_refusal() -> None:
    """A champion that has seen every test cell does not step aside for that."""
    check = cannot_compare(CONFIG)
    assert not check.passed
    assert check.name == compare(TRUTH, GROUPS, TRUTH, TRUTH, CONFIG).name


CHAMPION = Pointer(
    sequence=1,
    name="cells",
    tag="cells:1",
    served="",
    evaluation="",
    verdict="",
    author="test",
    reason="a test",
    time=datetime(2026, 11, 1, tzinfo=UTC),
)


def verdict(champion: Pointer | None = None, *, checks: tuple[Check, ...] = ()) -> Verdict:
    checks = checks or (
        *floor_checks(report(A=0.1, B=0.9), CONFIG),
        parity_check(report(), CONFIG),
    )
    passed = all(check.passed for check in checks)
    return Verdict(name="cells", tag="cells:2", champion=champion, passed=passed, checks=checks)


def test_the_form_shows_every_check_in_a_table() -> None:
    """Who approves sees what failed, with its interval where it has one."""
    lines = markdown(verdict(CHAMPION)).splitlines()
    assert lines[0] == "**Refused**: `cells:2` against `cells:1`"
    assert "| balanced accuracy | 0.800 | 0.700 to 0.900 | 0.6 | pass |" in lines
    assert "| sensitivity A | 0.100 | 0.000 to 0.200 | 0.3 | FAIL |" in lines
    assert "| engine parity | 1.000 |  | 0.99 | pass |" in lines
    assert len({line.count("|") for line in lines[2:]}) == 1


def test_a_first_model_has_no_champion() -> None:
    """Form and page both say so."""
    assert "no champion" in markdown(verdict())
    assert "no champion" in page(verdict())


def test_the_page_shows_every_check() -> None:
    """Value, interval and threshold, in a page that stands alone."""
    shown = page(verdict(CHAMPION))
    assert '<h1 class="fail">Refused</h1>' in shown
    assert "0.700 to 0.900" in shown
    assert "cells:1" in shown
    assert shown.count("<tr>") == 1 + len(verdict().checks)
    assert "http" not in shown


def test_the_page_escapes_what_others_wrote() -> None:
    """An error text of the service is text, not markup."""
    hostile = serving_checks(ServeCheck(ok=False, error="<script>alert(1)</script>"), CONFIG)
    shown = page(verdict(checks=tuple(hostile)))
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(1)" in shown
