"""Gate verdict: every check with its value, interval and limit, and the overall result."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer
from pipeline.artifacts import Artifact, VerdictManifest
from pipeline.records import Frozen
from pipeline.statistics.intervals import Interval
from pipeline.steps.promotion.eligible_cells import EligibleCells

Topic = Literal["evidence", "champion", "floors", "calibration", "serving"]
Unit = Literal["", "difference", "cells", "yes", "ms", "MB"]
Figure = Literal["value", "low", "resampled low"]


class Limit(NamedTuple):
    """Threshold of a check, and the figure that is compared with it."""

    threshold: float
    side: Literal["at least", "at most"]
    figure: Figure


def at_least(threshold: float, figure: Figure = "value") -> Limit:
    """Minimum limit for a value, or for its lower bound."""
    return Limit(threshold, "at least", figure)


def at_most(threshold: float, figure: Figure = "value") -> Limit:
    """Maximum limit for a value, or for its lower bound."""
    return Limit(threshold, "at most", figure)


class Check(Frozen):
    """Result of one check: a measured figure of the challenger, its limit, passed or not."""

    name: str
    topic: Topic = "evidence"
    value: float
    low: float | None = None
    high: float | None = None
    """95 % interval over cells; None where there is none."""
    resampled_low: float | None = None
    """Lower bound over resampled cells alone, which decides a comparison with the champion."""
    threshold: float
    side: Literal["at least", "at most"] = "at least"
    figure: Figure = "value"
    """Which figure is compared with the threshold."""
    unit: Unit = ""
    passed: bool
    sentence: str


class GateVerdict(Frozen):
    """`verdict.json`: every check, and the overall result."""

    name: str
    tag: str
    champion: Pointer | None
    """Serving model at the time of the gate; a promotion is valid only while it still serves."""
    passed: bool
    evidence: EligibleCells | None = None
    """Cells of the comparison; None in verdicts of earlier versions."""
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the failed checks."""
        return tuple(check.name for check in self.checks if not check.passed)

    @property
    def unchanged(self) -> bool:
        """Whether challenger and champion are the same bundle, so that nothing is to deploy."""
        return self.champion is not None and self.champion.tag == self.tag


def read_verdict(artifact: Artifact[VerdictManifest], store: ArtifactStore) -> GateVerdict:
    """Download a verdict, `verdict.json`."""
    return GateVerdict.model_validate_json(store.read(artifact, "verdict.json"))


@dataclass(frozen=True)
class Criterion:
    """Name, limit and unit of a check that is still to be made."""

    topic: Topic
    name: str
    limit: Limit
    unit: Unit = ""

    def check(self, measured: Interval | float, sentence: str) -> Check:
        """Compare a measured figure with the limit; NaN fails.

        Args:
            measured: a number, an interval, or a `Difference`, which has a resampled lower bound.
            sentence: the result for people.
        """
        if isinstance(measured, Interval):
            fields = measured.model_dump(include={"value", "low", "high", "resampled_low"})
        else:
            fields = {"value": float(measured)}
        figure = fields.get(self.limit.figure.replace(" ", "_"), fields["value"])
        threshold = self.limit.threshold
        passed = figure >= threshold if self.limit.side == "at least" else figure <= threshold
        return Check(
            name=self.name,
            topic=self.topic,
            **fields,
            **self.limit._asdict(),
            unit=self.unit,
            passed=passed,
            sentence=sentence,
        )
