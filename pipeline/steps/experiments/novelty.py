"""Novelty detection: how well uncertainty separates new kinds of images from known ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.contract.decision import ReviewRule, decide
from pipeline.contract.model_contract import ModelContract
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.records import Frozen
from pipeline.statistics.groups import Floats, group_codes
from pipeline.statistics.intervals import Interval, Resamples
from pipeline.statistics.review_rule import auroc


@dataclass(frozen=True)
class NoveltyScores:
    """Uncertainty and distance of n images, and their groups; both may detect novel images."""

    groups: Sequence[str]
    uncertainties: Floats
    """(n,), from `decide`; above 1 the image goes to review."""
    distances: Floats
    """(n,), distance of the embedding to the training images."""

    @classmethod
    def joined(cls, parts: "Sequence[NoveltyScores]") -> "NoveltyScores":
        """The scores of several sets of images as one."""
        return cls(
            [group for part in parts for group in part.groups],
            np.concatenate([part.uncertainties for part in parts]),
            np.concatenate([part.distances for part in parts]),
        )


class Novelty(Frozen):
    """How well uncertainty and distance separate novel images from reference images (AUROC)."""

    images: int
    review_share: float | None
    """Share of the images that goes to review, 0 to 1; None without images."""
    auroc: Interval | None
    """AUROC of the uncertainty, images against reference; None where either set is empty."""
    distance_auroc: Interval | None
    """AUROC of the distance to the training images alone."""


def novelty_scores(
    predictions: Sequence[ReferenceRecord], contract: ModelContract, rule: ReviewRule
) -> NoveltyScores:
    """Compute uncertainty and distance of logged predictions by a review rule."""
    logged = [line.record for line in predictions]
    uncertainties = [
        decide(
            [record.probabilities[name] for name in contract.classes],
            record.embedding,
            record.cell_found,
            contract,
            rule,
        ).uncertainty
        for record in logged
    ]
    return NoveltyScores(
        groups=[line.group for line in predictions],
        uncertainties=np.array(uncertainties, np.float64),
        distances=np.array([rule.distance(record.embedding) for record in logged], np.float64),
    )


def novelty(images: NoveltyScores, reference: NoveltyScores, *, draws: int) -> Novelty:
    """AUROCs of images against reference images, with intervals that resample both's groups."""
    count = len(images.uncertainties)
    both = count > 0 and len(reference.uncertainties) > 0
    return Novelty(
        images=count,
        review_share=float((images.uncertainties > 1).mean()) if count else None,
        auroc=_auroc(images, reference, "uncertainties", draws) if both else None,
        distance_auroc=_auroc(images, reference, "distances", draws) if both else None,
    )


def _auroc(images: NoveltyScores, reference: NoveltyScores, score: str, draws: int) -> Interval:
    """Probability that an image scores higher than a reference image.

    The pseudo-observation of `Resamples.bounds` is one more group of the smaller set, which loses
    or wins every pair: with all pairs in order, the low end is that of as many correct cells.
    """
    above, below = getattr(images, score), getattr(reference, score)
    resamples = [
        Resamples(codes, np.zeros_like(codes), draws=draws, seed=seed)
        for seed, codes in enumerate(group_codes(one.groups) for one in (images, reference))
    ]
    samples = [
        auroc(above, below, above_counts[resamples[0].codes], below_counts[resamples[1].codes])
        for above_counts, below_counts in zip(resamples[0].counts, resamples[1].counts, strict=True)
    ]
    value = auroc(above, below, np.ones(len(above)), np.ones(len(below)))
    cells = np.minimum(*(one.effective_size(np.ones((len(one.codes), 1))) for one in resamples))
    (low,), (high,) = resamples[0].bounds(np.array([value]), np.array(samples)[:, None], cells)
    return Interval(value=value, low=float(low), high=float(high))
