"""Evaluation page: metrics, confusion matrices, calibration and the worst mistakes as HTML."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pipeline.artifacts import ServedManifest
from pipeline.contract.preprocessing import Prepared
from pipeline.engine.evidence_map import evidence_picture
from pipeline.pages.report_site import page_templates
from pipeline.statistics.intervals import Interval
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.mistakes import ExplainedMistake, Mistake
from pipeline.steps.evaluation.scoring import UnitScores

_PHOTO = (256, 192)
_SIDE = 192


@dataclass(frozen=True)
class Plot:
    """Axes of an SVG plot of 360 by 250 units: shares from 0 to 1 across, from `low` to 1 up."""

    low: float
    """Value at the bottom."""
    left: int = 44
    right: int = 350
    top: int = 10
    bottom: int = 205

    def x(self, share: float) -> float:
        """Horizontal position of a share, in SVG units from the left."""
        return round(self.left + share * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        """Vertical position, in SVG units from the top; values below `low` are at the bottom."""
        share = (min(max(value, self.low), 1) - self.low) / (1 - self.low)
        return round(self.bottom - share * (self.bottom - self.top), 1)

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        """SVG path through points (across, up)."""
        return "M" + "L".join(f"{self.x(x)} {self.y(y)}" for x, y in points)

    def ticks(self) -> list[float]:
        """Three to six round values for the vertical axis, from bottom to top."""
        step = 0.05 if self.low >= 0.8 else 0.1 if self.low >= 0.6 else 0.2
        return [round(t, 2) for t in np.arange(self.low, 1.001, step)]


@dataclass(frozen=True)
class _MistakeImages:
    """A mistake with its images as data URIs."""

    mistake: Mistake
    photo: str
    crop: str
    evidence: str


def render(
    report: EvaluationReport, mistakes: Sequence[ExplainedMistake], served: ServedManifest
) -> str:
    """The evaluation as one self-contained HTML page."""
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
        mistakes=[_images(mistake) for mistake in mistakes],
        calibration=Plot(low=0),
        coverage=Plot(low=min(max(np.floor(lowest * 10) / 10, 0), 0.8)),
        max_share=max(one.share for one in report.scores.reliability),
        curve=curve,
        percent=percent,
        spread=spread,
    )


def percent(share: float, digits: int = 1) -> str:
    """A share in percent: `86.1 %`."""
    return f"{100 * share:.{digits}f} %"


def spread(interval: Interval) -> str:
    """An interval in percent: `80.2 to 91.0 %`."""
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"


def curve(unit: UnitScores, end: str) -> list[tuple[float, float]]:
    """Points (coverage, accuracy) of a plot; `end`: `value`, or `low` or `high` of the interval."""
    return [(point.coverage, getattr(point.accuracy, end)) for point in unit.review.curve]


def _images(explained: ExplainedMistake) -> _MistakeImages:
    """Draw photograph, crop and occlusion map of a mistake."""
    crop = explained.prepared.crop
    return _MistakeImages(
        mistake=explained.mistake,
        photo=_jpeg_uri(_photo(explained.prepared)),
        crop=_jpeg_uri(Image.fromarray(crop).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)),
        evidence=_jpeg_uri(evidence_picture(crop, explained.log_odds, _SIDE)),
    )


def _photo(prepared: Prepared) -> Image.Image:
    """Thumbnail of the photograph with the crop's outline, which is orange if no cell was found."""
    image = Image.fromarray(prepared.image)
    box, width = prepared.box, max(2, round(max(image.size) / 110))
    corners = (box.left, box.top, box.left + box.side, box.top + box.side)
    colour = "#12b886" if prepared.cell_found else "#e8590c"
    ImageDraw.Draw(image).rectangle(corners, outline=colour, width=width)
    image.thumbnail(_PHOTO)
    framed = Image.new("RGB", _PHOTO, "#1f1b2e")
    framed.paste(image, ((_PHOTO[0] - image.width) // 2, (_PHOTO[1] - image.height) // 2))
    return framed


def _jpeg_uri(image: Image.Image) -> str:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
