"""Differential: shares of classes and their intervals."""

import pytest
from scipy.stats import binomtest

from bento_service.http.schemas import ClassCount, DifferentialTotals, Failure
from bento_service.inference.differential import (
    class_shares,
    differential,
    exact_interval,
    warnings,
)

CLASSES = ("ROUND", "LOBED", "RARE")


@pytest.mark.parametrize(("count", "total"), [(0, 1), (1, 1), (0, 100), (62, 100), (499, 500)])
def test_the_interval_is_exact(count: int, total: int) -> None:
    """Equal to SciPy's Clopper-Pearson interval, also at 0 and 1."""
    exact = binomtest(count, total).proportion_ci(0.95, "exact")
    assert exact_interval(count, total) == pytest.approx((exact.low, exact.high))


def counts(*cells: tuple[int, int]) -> list[ClassCount]:
    """Accepted cells and cells to review of each class."""
    return [
        ClassCount(label=name, accepted=accepted, review=review)
        for name, (accepted, review) in zip(CLASSES, cells, strict=True)
    ]


def test_every_class_has_its_row() -> None:
    """In the order of the counts, with the cells to review; a class without cells has 0."""
    rows = class_shares(counts((1, 0), (1, 1), (0, 0)))
    assert [(row.label, row.count, row.percent, row.review) for row in rows] == [
        ("ROUND", 1, 33.33, 0),
        ("LOBED", 2, 66.67, 1),
        ("RARE", 0, 0.0, 0),
    ]
    assert rows[2].low == 0
    assert rows[2].high == pytest.approx(70.76)


def test_no_cells_have_the_widest_interval() -> None:
    """0 to 100 % for every class."""
    assert [(row.low, row.high) for row in class_shares(counts((0, 0), (0, 0), (0, 0)))] == [
        (0, 100)
    ] * 3


def test_warnings() -> None:
    """A warning for few cells, for cells to review and for files not counted; else none."""
    few = warnings(DifferentialTotals(images=99, review=2, failed=1))
    assert [line.split()[0] for line in few] == ["Fewer", "2", "1"]
    assert warnings(DifferentialTotals(images=100, review=0, failed=0)) == ()


def test_failures_are_listed_and_not_counted() -> None:
    """A request with only bad files has no cells and lists each failure."""
    failed = Failure(index=3, code="invalid_image", message="no image")
    result = differential([failed], CLASSES, "cells:1", "r")
    assert (result.answered.images, result.answered.failed, result.failures) == (0, 1, (failed,))
    assert [row.count for row in result.shares] == [0, 0, 0]
    assert (result.tag, result.request_id) == ("cells:1", "r")
