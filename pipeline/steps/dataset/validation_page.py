"""The validation report: counts, quarantined images and examples, to be read before training."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, ImageDraw

from pipeline.artifacts import Artifact, SnapshotManifest
from pipeline.config.run_config import RunConfig
from pipeline.contract.decoding import Pixels
from pipeline.contract.model_contract import ModelContract
from pipeline.contract.preprocessing import prepare_pixels
from pipeline.pages.report_site import page_templates
from pipeline.records import Quarantined, Record
from pipeline.steps.dataset.proposals import propose_reading
from pipeline.steps.dataset.validation_rules import Rule, reasons

EXAMPLES = 12
"""Images shown per class and per reason."""
_MAX_ROWS = 200
"""Quarantined images listed by file."""
_MAX_SIZE = (320, 240)
"""Width and height of a picture in pixels."""
_LOCATED, _NOT_LOCATED = "#12b886", "#e8590c"


@dataclass(frozen=True)
class Picture:
    """An image on a report page."""

    file: str
    label: str
    width: int
    """Of the original, in pixels."""
    height: int
    """Of the original, in pixels."""
    sources: tuple[str, ...]
    """JPEGs as data URIs: the image and, if it is usable, the crop that the network sees."""


@dataclass(frozen=True)
class ValidationResult:
    """The checks of a snapshot and examples of its images."""

    counts: Mapping[str, int]
    """Usable images per class, in the contract's order."""
    quarantined: Sequence[Quarantined]
    rules: Sequence[Rule]
    proposals: Sequence[str]
    """What would help images of unknown classes (`proposals`)."""
    examples: Mapping[str, Sequence[Picture]]
    """Some usable images of each class."""
    rejected: Mapping[str, Sequence[Picture]]
    """Some quarantined images by reason, if they decode."""


def render(
    snapshot: Artifact[SnapshotManifest], result: ValidationResult, config: RunConfig
) -> str:
    """One self-contained HTML page; the same content gives the same bytes."""
    return (
        page_templates()
        .get_template("validation.html.j2")
        .render(
            title=f"Validation of {config.name}",
            snapshot=snapshot,
            result=result,
            total=sum(result.counts.values()),
            max_count=max(result.counts.values(), default=0) or 1,
            min_count=config.validation.min_images_per_class,
            broken=[rule for rule in result.rules if not rule.passed],
            reasons=reasons(result.quarantined),
            rows=result.quarantined[:_MAX_ROWS],
            remedies=propose_reading(snapshot.manifest.left_out),
        )
    )


def picture(record: Record, image: Pixels, contract: ModelContract | None) -> Picture:
    """An image and, with a contract, its crop; the crop's square is drawn on the image."""
    height, width = image.shape[:2]
    shown = (image,) if contract is None else _with_crop(image, contract)
    return Picture(
        file=PurePosixPath(record.file).name,
        label=record.label,
        width=width,
        height=height,
        sources=tuple(map(thumbnail_uri, shown)),
    )


def _with_crop(image: Pixels, contract: ModelContract) -> tuple[Pixels, Pixels]:
    """The image with the crop's square drawn on it, and the crop."""
    prepared = prepare_pixels(image, contract)
    marked, box = Image.fromarray(image), prepared.box
    colour = _LOCATED if prepared.cell_found else _NOT_LOCATED
    corners = (box.left, box.top, box.left + box.side, box.top + box.side)
    ImageDraw.Draw(marked).rectangle(corners, outline=colour, width=max(2, marked.height // 80))
    return np.asarray(marked), prepared.crop


def thumbnail(image: Pixels) -> Image.Image:
    """A copy of the image, scaled down to 320x240 if it is larger."""
    small = Image.fromarray(image)
    small.thumbnail(_MAX_SIZE)
    return small


def thumbnail_uri(image: Pixels) -> str:
    """An image, shrunk to 320x240 if it is larger, as a JPEG data URI."""
    out = io.BytesIO()
    thumbnail(image).save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
