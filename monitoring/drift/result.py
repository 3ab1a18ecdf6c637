"""What the test says of a window: quiet, alarm, or not enough to say anything."""

from typing import Literal

from pipeline.records import Frozen


class ColumnDrift(Frozen):
    """One column, or the embedding as a whole, against chance."""

    name: str
    statistic: float
    """Energy distance to the reference at the window's class mix, in standard deviations."""
    null_quantile: float
    """What chance alone exceeds in a share alpha of windows, over all columns together."""
    ratio: float
    """statistic / null_quantile: above 1 is drift."""
    reference_median: float | None = None
    """At the window's class mix; none for the embedding."""
    window_median: float | None = None


class ClassShare(Frozen):
    """How often a class was predicted, 0 to 1."""

    label: str
    reference: float
    window: float


class Quality(Frozen):
    """Images in which no cell was found."""

    reference: float
    """Share, 0 to 1; likewise the window's."""
    window: float
    p_value: float
    """Chance of that many or more, given the reference's cells."""
    alarm: bool


class DriftResult(Frozen):
    """`drift.json`: everything that a person or the policy needs to detect_drift a window."""

    verdict: Literal["quiet", "alarm", "not_enough"]
    alarm: bool
    reasons: tuple[str, ...]
    caveats: tuple[str, ...] = ()
    """What weakens the verdict."""
    n: int
    """Predictions in the window."""
    distinct: int
    """Different images among them; only these are tested."""
    reference_images: int
    reference_groups: int
    alpha: float
    draws: int
    p_value: float | None = None
    """Share of draws as extreme as the window, over all columns; none when not tested."""
    columns: tuple[ColumnDrift, ...] = ()
    mix: tuple[ClassShare, ...] = ()
    mix_distance: float = 0.0
    """Total variation between predicted class shares, 0 to 1: told apart, never an alarm."""
    quality: Quality | None = None
