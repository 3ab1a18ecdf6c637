"""Novelty: do images of another kind or laboratory go to a person more often than those of home?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.contract.decision import ReviewRule, decide
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.contract.spec import ModelContract
from pipeline.records import Frozen
from pipeline.statistics.intervals import Resamples
from pipeline.statistics.metrics import Floats, Interval, group_codes
from pipeline.statistics.review import auroc


@dataclass(frozen=True)
class NoveltyScores:
    """Images with what speaks for showing them to a person."""

    groups: Sequence[str]
    uncertainties: Floats
    """As `decide` gives them (n,)."""
    distances: Floats
    """To the training images (n,)."""


class Novelty(Frozen):
    """How some images stand out from held-out images of home."""

    images: int
    review_share: float | None
    """Share that a person would see, 0 to 1; None without images."""
    auroc: Interval | None
    """Chance that one of them is less certain than one of home; None if either is empty."""
    distance_auroc: Interval | None
    """The same of the distance to the training images alone."""


def novelty_scores(
    predictions: Sequence[PredictionRecord],
    groups: Sequence[str],
    contract: ModelContract,
    rule: ReviewRule,
) -> NoveltyScores:
    """Logged answers under a rule, from what the log keeps of them."""
    uncertainties = [
        decide(
            [said.probabilities[name] for name in contract.classes],
            said.embedding,
            said.cell_found,
            contract,
            rule,
        ).uncertainty
        for said in predictions
    ]
    distances = [rule.distance(said.embedding) for said in predictions]
    return NoveltyScores(
        groups, np.array(uncertainties, np.float64), np.array(distances, np.float64)
    )


def novelty(strangers: NoveltyScores, home: NoveltyScores, *, draws: int) -> Novelty:
    """Compare images with home's; intervals resample the groups of both."""
    count = len(strangers.uncertainties)
    both = count > 0 and len(home.uncertainties) > 0
    return Novelty(
        images=count,
        review_share=float((strangers.uncertainties > 1).mean()) if count else None,
        auroc=_auroc(strangers, home, "uncertainties", draws) if both else None,
        distance_auroc=_auroc(strangers, home, "distances", draws) if both else None,
    )


def _auroc(strangers: NoveltyScores, home: NoveltyScores, by: str, draws: int) -> Interval:
    """Chance that an image of one set exceeds one of the other.

    The pseudo-observation of `Resamples.ends` is one more group of the smaller set, which loses
    or wins every pair: with all pairs in order, the low end is that of so many right cells.
    """
    above, below = getattr(strangers, by), getattr(home, by)
    drawn = [
        Resamples(codes, np.zeros_like(codes), draws=draws, seed=seed)
        for seed, codes in enumerate(group_codes(one.groups) for one in (strangers, home))
    ]
    samples = [
        auroc(above, below, ours[drawn[0].codes], theirs[drawn[1].codes])
        for ours, theirs in zip(drawn[0].counts, drawn[1].counts, strict=True)
    ]
    value = auroc(above, below, np.ones(len(above)), np.ones(len(below)))
    cells = np.minimum(*(one.effective_size(np.ones((len(one.codes), 1))) for one in drawn))
    (low,), (high,) = drawn[0].bounds(np.array([value]), np.array(samples)[:, None], cells)
    return Interval(value=value, low=float(low), high=float(high))
