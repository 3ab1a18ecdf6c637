"""When a dataset is refused, as pure decisions."""

import pytest

from pipeline.config import RunConfig
from pipeline.records import Quarantined, Record
from pipeline.steps.dataset.validation_rules import amount_rules, per_class, reasons, settle_labels


def _aside(count: int, reason: str = "dull") -> list[Quarantined]:
    return [
        Quarantined(sha256=str(n), label="ROUND", file=f"{n}.png", archive="a", reason=reason)
        for n in range(count)
    ]


@pytest.mark.parametrize(("aside", "kept"), [(0, True), (5, True), (6, False)])
def test_the_share_set_aside_may_reach_its_limit(aside: int, kept: bool, config: RunConfig) -> None:
    """Five of a hundred are allowed, six are not."""
    counts = {"ROUND": 50, "LOBED": 50 - aside}
    assert amount_rules(counts, _aside(aside), config)[0].kept == kept


@pytest.mark.parametrize(("lobed", "kept"), [(0, False), (1, True)])
def test_every_class_needs_its_images(lobed: int, kept: bool, config: RunConfig) -> None:
    """A class of the contract without images is short, however many the others have."""
    rule = amount_rules({"ROUND": 50, "LOBED": lobed}, [], config)[1]
    assert (rule.kept, rule.received) == (kept, "1 or more" if kept else "LOBED 0")


def test_the_most_frequent_reason_comes_first() -> None:
    """Ties are in order of their words, so that a page is the same every time."""
    found = reasons([*_aside(1, "torn"), *_aside(2, "dull"), *_aside(1, "cut")])
    assert found == [("dull", 2), ("cut", 1), ("torn", 1)]


def test_an_image_under_two_labels_is_nobodys() -> None:
    """All its rows are set aside; an image that came twice under one label is kept once."""
    rows = [
        Record(sha256=image, label=label, file=f"{label}/{image}.png", archive="a")
        for image, label in [("1", "ROUND"), ("1", "LOBED"), ("2", "ROUND"), ("2", "ROUND")]
    ]
    agreed, disputed = settle_labels(rows)
    assert per_class(agreed, ("ROUND", "LOBED")) == {"ROUND": 1, "LOBED": 0}
    assert {image.reason for image in disputed} == {"the same image is labelled LOBED and ROUND"}
    assert len(disputed) == 2


def test_a_returned_label_of_the_same_bytes_does_not_outvote_an_archive() -> None:
    """Only the returned row is set aside; where the archives disagree, all rows are."""
    made, other, back = (
        Record(sha256="1", label=label, file=file, archive="a")
        for label, file in (("ROUND", "1.png"), ("LOBED", "2.png"), ("LOBED", "returned/1.png"))
    )
    agreed, aside = settle_labels([made, back])
    assert agreed == [made]
    assert [(q.file, q.reason) for q in aside] == [
        ("returned/1.png", "a returned label, while the archives say ROUND")
    ]
    agreed, aside = settle_labels([made, other, back])
    assert agreed == []
    assert len(aside) == 3
