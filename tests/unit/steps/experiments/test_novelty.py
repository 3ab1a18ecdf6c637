"""Strangers go to a person."""

from datetime import UTC, datetime

import numpy as np
import pytest

from pipeline.contract.decision import ReviewRule
from pipeline.contract.image_stats import ImageStats
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.contract.spec import ModelContract
from pipeline.steps.experiments.novelty import NoveltyScores, novelty, novelty_scores

CONTRACT = ModelContract(name="cells", classes=("A", "B"), embedding_size=2)
RULE = ReviewRule(min_confidence=0.6, max_distance=2.0, centre=(0.0, 0.0))
STATS = ImageStats.model_validate(dict.fromkeys(ImageStats.model_fields, 0))


def people(uncertainties: list[float], copies: int = 1) -> NoveltyScores:
    """One group of `copies` images per uncertainty; all distances are equal."""
    values = np.repeat(np.array(uncertainties, float), copies)
    return NoveltyScores(
        [str(n // copies) for n in range(len(values))], values, np.ones(len(values))
    )


def test_strangers_are_told_from_home() -> None:
    """Of four pairs three are in order; distances all alike are a toss of a coin."""
    found = novelty(people([0.5, 2.0]), people([0.1, 0.9]), draws=200)
    assert (found.images, found.review_share) == (2, 0.5)
    assert found.auroc is not None
    assert found.auroc.value == pytest.approx(0.75)
    assert found.distance_auroc is not None
    assert found.distance_auroc.value == pytest.approx(0.5)


def test_the_interval_is_over_groups() -> None:
    """Ten copies of each image leave it as wide as it was."""
    strangers, home = [0.2, 0.8, 1.4, 2.0], [0.1, 0.3, 0.9, 1.1]
    once = novelty(people(strangers), people(home), draws=300)
    often = novelty(people(strangers, 10), people(home, 10), draws=300)
    assert once.auroc is not None
    assert often.auroc is not None
    assert often.auroc.low == pytest.approx(once.auroc.low)
    assert once.auroc.low < once.auroc.value < once.auroc.high


def test_sixteen_groups_in_order_are_no_certainty() -> None:
    """With all pairs in order, the interval has the exact bound of the smaller set of images."""
    found = novelty(people([3.0] * 16, 5), people([1.0] * 50), draws=400)
    assert found.auroc is not None
    assert (found.auroc.value, found.auroc.high) == (1, 1)
    assert found.auroc.low == pytest.approx(0.794, abs=1e-3)


def test_nobody_does_not_stand_out() -> None:
    """An archive without unknown classes has no figure for them."""
    found = novelty(people([]), people([0.1]), draws=100)
    assert found.model_dump() == {
        "images": 0,
        "review_share": None,
        "auroc": None,
        "distance_auroc": None,
    }


def test_logged_answers_are_enough() -> None:
    """Uncertainties and distances are computed from prediction records."""
    said = PredictionRecord(
        request_id="1",
        time=datetime(2026, 11, 1, tzinfo=UTC),
        tag="cells:0",
        route="evaluate",
        label="A",
        decision="review",
        probabilities={"A": 0.9, "B": 0.1},
        cell_found=True,
        stats=STATS,
        embedding=(0.0, 4.0),
    )
    found = novelty_scores([said], ["cell"], CONTRACT, RULE)
    assert (found.uncertainties.tolist(), found.distances.tolist()) == ([4.0], [4.0])
