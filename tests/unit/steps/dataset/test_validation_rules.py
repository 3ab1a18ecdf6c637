"""Validation rules: label resolution, counts and limits."""

import pytest

from pipeline.config.run_config import RunConfig
from pipeline.records import Quarantined, Record
from pipeline.steps.dataset.validation_rules import (
    count_rules,
    images_per_class,
    reasons,
    resolve_labels,
)


def _quarantined(count: int, reason: str = "dull") -> list[Quarantined]:
    return [
        Quarantined(sha256=str(n), label="ROUND", file=f"{n}.png", archive="a", reason=reason)
        for n in range(count)
    ]


@pytest.mark.parametrize(("images", "passed"), [(0, True), (5, True), (6, False)])
def test_the_quarantined_share_may_reach_its_limit(
    images: int, passed: bool, config: RunConfig
) -> None:
    """Five of a hundred are allowed, six are not."""
    counts = {"ROUND": 50, "LOBED": 50 - images}
    assert count_rules(counts, _quarantined(images), config)[0].passed == passed


@pytest.mark.parametrize(("lobed", "passed"), [(0, False), (1, True)])
def test_every_class_needs_its_images(lobed: int, passed: bool, config: RunConfig) -> None:
    """A class without images breaks the rule, whatever the counts of the other classes."""
    rule = count_rules({"ROUND": 50, "LOBED": lobed}, [], config)[1]
    assert (rule.passed, rule.received) == (passed, "1 or more" if passed else "LOBED 0")


def test_the_most_frequent_reason_comes_first() -> None:
    """Equally frequent reasons are sorted by text, so that the page is reproducible."""
    found = reasons([*_quarantined(1, "torn"), *_quarantined(2, "dull"), *_quarantined(1, "cut")])
    assert found == [("dull", 2), ("cut", 1), ("torn", 1)]


def test_an_image_under_two_labels_is_quarantined() -> None:
    """All its rows are quarantined; an image twice under one label is kept once."""
    rows = [
        Record(sha256=image, label=label, file=f"{label}/{image}.png", archive="a")
        for image, label in [("1", "ROUND"), ("1", "LOBED"), ("2", "ROUND"), ("2", "ROUND")]
    ]
    agreed, disputed = resolve_labels(rows)
    assert images_per_class(agreed, ("ROUND", "LOBED")) == {"ROUND": 1, "LOBED": 0}
    assert {image.reason for image in disputed} == {"the same image is labelled LOBED and ROUND"}
    assert len(disputed) == 2


def test_a_returned_label_of_the_same_bytes_does_not_overrule_an_archive() -> None:
    """Only the returned row is quarantined; where the archives disagree, all rows are."""
    archived, other, returned = (
        Record(sha256="1", label=label, file=file, archive="a")
        for label, file in (("ROUND", "1.png"), ("LOBED", "2.png"), ("LOBED", "returned/1.png"))
    )
    agreed, quarantined = resolve_labels([archived, returned])
    assert agreed == [archived]
    assert [(q.file, q.reason) for q in quarantined] == [
        ("returned/1.png", "the returned label contradicts the archives, which say ROUND")
    ]
    agreed, quarantined = resolve_labels([archived, other, returned])
    assert agreed == []
    assert len(quarantined) == 3
