"""The page a person reads before trusting a model: how often it is right, and how sure."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pipeline.artifacts import ServedManifest
from pipeline.contract.preprocessing import Prepared
from pipeline.engine.occlusion import evidence_picture
from pipeline.pages.report_site import page_templates
from pipeline.statistics.metrics import Interval
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.mistakes import ExplainedMistake, Mistake
from pipeline.steps.evaluation.scoring import UnitScores

_PHOTO = (256, 192)
_SQUARE = 192


@dataclass(frozen=True)
class Plot:
    """Where figures stand in a drawing of 360 by 250 units with room for labels."""

    low: float
    """Figure at the bottom; the top is 1. Left to right goes from 0 to 1."""
    left: int = 44
    right: int = 350
    top: int = 10
    bottom: int = 205

    def x(self, share: float) -> float:
        """Units from the left."""
        return round(self.left + share * (self.right - self.left), 1)

    def y(self, figure: float) -> float:
        """Units from the top."""
        inside = (min(max(figure, self.low), 1) - self.low) / (1 - self.low)
        return round(self.bottom - inside * (self.bottom - self.top), 1)

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        """A line through figures (across, up)."""
        return "M" + "L".join(f"{self.x(x)} {self.y(y)}" for x, y in points)

    def ticks(self) -> list[float]:
        """Four or five round figures from bottom to top."""
        step = 0.05 if self.low >= 0.8 else 0.1 if self.low >= 0.6 else 0.2
        return [round(t, 2) for t in np.arange(self.low, 1.001, step)]


@dataclass(frozen=True)
class _Shown:
    """A mistake with its pictures as data URIs."""

    mistake: Mistake
    photo: str
    crop: str
    evidence: str
    most: float
    """Largest log-odds that a part is worth."""


def render(
    report: EvaluationReport, evidence: Sequence[ExplainedMistake], served: ServedManifest
) -> str:
    """One self-contained page of the report site.

    Args:
        report: the figures.
        evidence: the mistakes to show.
        served: the bundle that was scored.
    """
    lowest = min(
        point.accuracy.low
        for unit in (report.scores, report.scores.by_cell)
        for point in unit.review.curve
    )
    template = page_templates().get_template("evaluation.html.j2")
    return template.render(
        title=f"Evaluation of {report.tag}",
        report=report,
        scores=report.scores,
        served=served,
        shown=[_shown(one) for one in evidence],
        whole=Plot(low=0),
        upper=Plot(low=min(max(np.floor(lowest * 10) / 10, 0), 0.8)),
        fullest=max(one.share for one in report.scores.reliability),
        curve=curve,
        percent=percent,
        spread=spread,
    )


def percent(share: float, digits: int = 1) -> str:
    """`86.1 %`."""
    return f"{100 * share:.{digits}f} %"


def spread(interval: Interval) -> str:
    """`80.2 to 91.0 %`."""
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"


def curve(unit: UnitScores, end: str) -> list[tuple[float, float]]:
    """Coverage and accuracy: the `value`, or the `low` or `high` end of its interval."""
    return [(point.coverage, getattr(point.accuracy, end)) for point in unit.review.curve]


def _shown(evidence: ExplainedMistake) -> _Shown:
    return _Shown(
        mistake=evidence.mistake,
        photo=_jpeg(_photo(evidence.prepared)),
        crop=_jpeg(_square(evidence.prepared)),
        evidence=_jpeg(evidence_picture(evidence.prepared.crop, evidence.worth, _SQUARE)),
        most=float(np.abs(evidence.worth).max()),
    )


def _photo(prepared: Prepared) -> Image.Image:
    """The photograph with the square that was cut out of it."""
    image = Image.fromarray(prepared.image)
    box, width = prepared.box, max(2, round(max(image.size) / 110))
    corners = (box.left, box.top, box.left + box.side, box.top + box.side)
    colour = "#12b886" if prepared.cell_found else "#e8590c"
    ImageDraw.Draw(image).rectangle(corners, outline=colour, width=width)
    image.thumbnail(_PHOTO)
    framed = Image.new("RGB", _PHOTO, "#1f1b2e")
    framed.paste(image, ((_PHOTO[0] - image.width) // 2, (_PHOTO[1] - image.height) // 2))
    return framed


def _square(prepared: Prepared) -> Image.Image:
    return Image.fromarray(prepared.crop).resize((_SQUARE, _SQUARE), Image.Resampling.BICUBIC)


def _jpeg(image: Image.Image) -> str:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
