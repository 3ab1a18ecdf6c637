"""Shares of classes, and how sure they are."""

import pytest
from scipy.stats import binomtest

from bento_service.http.schemas import Answered, Failure
from bento_service.inference.differential import count, interval, shares, warnings

CLASSES = ("ROUND", "LOBED", "RARE")


@pytest.mark.parametrize(("count", "total"), [(0, 1), (1, 1), (0, 100), (62, 100), (499, 500)])
def test_the_interval_is_the_exact_one(count: int, total: int) -> None:
    """As SciPy's binomial test gives it, at the ends too."""
    exact = binomtest(count, total).proportion_ci(0.95, "exact")
    assert interval(count, total) == pytest.approx((exact.low, exact.high))


def test_every_class_has_its_row() -> None:
    """In the contract's order, with what a person should look at; nobody's is a nought."""
    told = shares([("LOBED", "accept"), ("LOBED", "review"), ("ROUND", "accept")], CLASSES)
    assert [(row.label, row.count, row.percent, row.review) for row in told] == [
        ("ROUND", 1, 33.33, 0),
        ("LOBED", 2, 66.67, 1),
        ("RARE", 0, 0.0, 0),
    ]
    assert told[2].low == 0
    assert told[2].high == pytest.approx(70.76)


def test_no_answers_know_nothing() -> None:
    """Every share may be anything."""
    assert [(row.low, row.high) for row in shares([], CLASSES)] == [(0, 100)] * 3


def test_a_reader_is_warned() -> None:
    """A warning for few cells, for cells to review and for files not counted; else none."""
    few = warnings(Answered(images=99, review=2, failed=1))
    assert [line.split()[0] for line in few] == ["Only", "2", "1"]
    assert warnings(Answered(images=100, review=0, failed=0)) == ()


def test_failures_are_listed_and_not_counted() -> None:
    """A request of bad files alone has no cells, and says which file failed why."""
    failed = Failure(index=3, code="invalid_image", message="no image")
    told = count([failed], CLASSES, "cells:1", "r")
    assert (told.answered.images, told.answered.failed, told.failures) == (0, 1, (failed,))
    assert [row.count for row in told.shares] == [0, 0, 0]
    assert (told.tag, told.request_id) == ("cells:1", "r")
