"""The verdict: every check with its figure, its interval, its limit and what they come to."""

from typing import Literal, NamedTuple

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer
from pipeline.artifacts import Artifact, VerdictManifest
from pipeline.records import Frozen
from pipeline.statistics.metrics import Interval
from pipeline.steps.promotion.eligible_cells import EligibleCells

Topic = Literal["evidence", "champion", "floors", "calibration", "serving"]
Unit = Literal["", "difference", "cells", "yes", "ms", "MB"]
Figure = Literal["value", "low", "resampled low"]


class Limit(NamedTuple):
    """What a figure is held against, and which one."""

    threshold: float
    side: Literal["at least", "at most"]
    figure: Figure


def at_least(threshold: float, figure: Figure = "value") -> Limit:
    """The value, or a low end, may not be below."""
    return Limit(threshold, "at least", figure)


def at_most(threshold: float, figure: Figure = "value") -> Limit:
    """The value, or a low end, may not be above."""
    return Limit(threshold, "at most", figure)


class Check(Frozen):
    """One thing a challenger must keep."""

    name: str
    topic: Topic = "evidence"
    value: float
    low: float | None = None
    high: float | None = None
    """95 % interval over cells, where there is one."""
    resampled_low: float | None = None
    """Low end over resampled cells alone, on which the comparison with the champion is decided."""
    threshold: float
    side: Literal["at least", "at most"] = "at least"
    figure: Figure = "value"
    """Which of them is held against the threshold."""
    unit: Unit = ""
    passed: bool
    sentence: str


class GateVerdict(Frozen):
    """`verdict.json`: every check, and what they come to."""

    name: str
    tag: str
    champion: Pointer | None
    """Whom the challenger was judged against; promotion holds only while it still serves."""
    passed: bool
    evidence: EligibleCells | None = None
    """What it was judged on."""
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that it did not pass."""
        return tuple(check.name for check in self.checks if not check.passed)

    @property
    def unchanged(self) -> bool:
        """Whether challenger and champion are the same bundle, so that there is nothing to ship."""
        return self.champion is not None and self.champion.tag == self.tag


def read_verdict(artifact: Artifact[VerdictManifest], store: ArtifactStore) -> GateVerdict:
    """The verdict of an artefact."""
    return GateVerdict.model_validate_json(store.read(artifact, "verdict.json"))


def judge(
    topic: Topic,
    name: str,
    found: Interval | float,
    limit: Limit,
    sentence: str,
    unit: Unit = "",
    *,
    resampled_low: float | None = None,
) -> Check:
    """A check with its outcome; a NaN keeps no limit."""
    sure = found if isinstance(found, Interval) else None
    value = found.value if isinstance(found, Interval) else float(found)
    figures = {"low": sure.low if sure else None, "resampled low": resampled_low}
    figure = figures.get(limit.figure)
    figure = value if figure is None else figure
    kept = figure >= limit.threshold if limit.side == "at least" else figure <= limit.threshold
    return Check(
        name=name,
        topic=topic,
        value=value,
        low=sure.low if sure else None,
        high=sure.high if sure else None,
        resampled_low=resampled_low,
        **limit._asdict(),
        unit=unit,
        passed=kept,
        sentence=sentence,
    )
