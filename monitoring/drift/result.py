"""Result of the drift test of one window."""

from typing import Literal

from pipeline.records import Frozen


class ColumnDrift(Frozen):
    """Drift of one column, or of the embedding as a whole: distance and alarm threshold."""

    name: str
    statistic: float
    """Energy distance to the reference at the window's class mix, in standard deviations."""
    null_quantile: float
    """The alarm threshold: without drift, a share alpha of windows exceeds any column's."""
    ratio: float
    """statistic / null_quantile; above 1 alarms."""
    reference_median: float | None = None
    """At the window's class mix; None for the embedding."""
    window_median: float | None = None


class ClassShare(Frozen):
    """Share of the images that are predicted as a class, 0 to 1."""

    label: str
    reference: float
    window: float


class Quality(Frozen):
    """Share of images in which no cell was found, 0 to 1, and its test."""

    reference: float
    window: float
    p_value: float
    """Probability of as many or more such images, given the reference."""
    alarm: bool


class DriftResult(Frozen):
    """Result of a window's drift test, stored as `drift.json`: verdict, reasons and columns."""

    verdict: Literal["quiet", "alarm", "not_enough"]
    """`not_enough`: too few images or reference groups to test."""
    alarm: bool
    reasons: tuple[str, ...]
    """Texts of `messages`, one for each column above its threshold."""
    caveats: tuple[str, ...] = ()
    """Limits of the test."""
    n: int
    """Number of predictions in the window."""
    distinct: int
    """Number of distinct images; repeated images are tested once."""
    reference_images: int
    reference_groups: int
    alpha: float
    draws: int
    p_value: float | None = None
    """Share of null windows as extreme as this one, over all columns; None if not tested."""
    columns: tuple[ColumnDrift, ...] = ()
    mix: tuple[ClassShare, ...] = ()
    mix_distance: float = 0.0
    """Total variation distance of the predicted class mix, 0 to 1; never alarms."""
    quality: Quality | None = None

    @property
    def summary(self) -> str:
        """The reasons of the verdict, in one line."""
        return "; ".join(self.reasons)
