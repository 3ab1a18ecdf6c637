"""Novelty: uncertainty separates images of another kind from reference images."""

from datetime import UTC, datetime

import numpy as np
import pytest

from pipeline.contract.decision import ReviewRule
from pipeline.contract.image_stats import ImageStats
from pipeline.contract.model_contract import ModelContract
from pipeline.contract.prediction_log import PredictionRecord, ReferenceRecord
from pipeline.steps.experiments.novelty import NoveltyScores, novelty, novelty_scores

CONTRACT = ModelContract(name="cells", classes=("A", "B"), embedding_size=2)
RULE = ReviewRule(min_confidence=0.6, max_distance=2.0, centre=(0.0, 0.0))
STATS = ImageStats.model_validate(dict.fromkeys(ImageStats.model_fields, 0))


def scores(uncertainties: list[float], copies: int = 1) -> NoveltyScores:
    """One group of `copies` images per uncertainty; all distances are equal."""
    values = np.repeat(np.array(uncertainties, float), copies)
    return NoveltyScores(
        [str(n // copies) for n in range(len(values))], values, np.ones(len(values))
    )


def test_auroc_counts_pairs_in_order() -> None:
    """Three of four pairs are in order; with equal distances the AUROC is a half."""
    result = novelty(scores([0.5, 2.0]), scores([0.1, 0.9]), draws=200)
    assert (result.images, result.review_share) == (2, 0.5)
    assert result.auroc is not None
    assert result.auroc.value == pytest.approx(0.75)
    assert result.distance_auroc is not None
    assert result.distance_auroc.value == pytest.approx(0.5)


def test_the_interval_resamples_groups() -> None:
    """Ten copies of each image do not change it."""
    images, reference = [0.2, 0.8, 1.4, 2.0], [0.1, 0.3, 0.9, 1.1]
    once = novelty(scores(images), scores(reference), draws=300)
    often = novelty(scores(images, 10), scores(reference, 10), draws=300)
    assert once.auroc is not None
    assert often.auroc is not None
    assert often.auroc.low == pytest.approx(once.auroc.low)
    assert once.auroc.low < once.auroc.value < once.auroc.high


def test_sixteen_groups_in_order_have_an_interval() -> None:
    """With all pairs in order, the interval has the exact bound of the smaller set of images."""
    result = novelty(scores([3.0] * 16, 5), scores([1.0] * 50), draws=400)
    assert result.auroc is not None
    assert (result.auroc.value, result.auroc.high) == (1, 1)
    assert result.auroc.low == pytest.approx(0.794, abs=1e-3)


def test_without_images_there_are_no_metrics() -> None:
    """An archive without unknown classes has no AUROC for them."""
    result = novelty(scores([]), scores([0.1]), draws=100)
    assert result.model_dump() == {
        "images": 0,
        "review_share": None,
        "auroc": None,
        "distance_auroc": None,
    }


def test_scores_are_computed_from_the_log() -> None:
    """Uncertainties and distances are computed from prediction records."""
    logged = PredictionRecord(
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
    line = ReferenceRecord(group="cell", truth="A", record=logged)
    result = novelty_scores([line], CONTRACT, RULE)
    assert (result.uncertainties.tolist(), result.distances.tolist()) == ([4.0], [4.0])
    assert result.groups == ["cell"]
