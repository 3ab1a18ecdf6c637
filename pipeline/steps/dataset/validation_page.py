"""The page a person reads before trusting a dataset: counts, what was set aside, what it shows."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from PIL import Image, ImageDraw

from pipeline.artifacts import Artifact, SnapshotManifest
from pipeline.config import RunConfig
from pipeline.contract.decoding import Pixels, decode
from pipeline.contract.preprocessing import prepare
from pipeline.contract.spec import ModelContract
from pipeline.errors import InvalidInputError
from pipeline.pages.report_site import page_templates
from pipeline.records import Quarantined, Record
from pipeline.steps.dataset.validation_rules import Rule, reasons

EXAMPLES = 12
"""Images shown of each class, and of each reason."""
_ROWS = 200
"""Quarantined images listed one by one."""
_BOX = (320, 240)
"""Width and height that a picture is fitted into, in pixels."""
_LOCATED, _NOT_LOCATED = "#12b886", "#e8590c"


@dataclass(frozen=True)
class Picture:
    """An image as the page shows it."""

    file: str
    label: str
    width: int
    height: int
    """Of the original, in pixels."""
    sources: tuple[str, ...]
    """JPEGs as data URIs: the image, and the crop that the network sees if it is usable."""


@dataclass(frozen=True)
class Findings:
    """What validation found out about a snapshot."""

    counts: Mapping[str, int]
    """Usable images per class, in the contract's order."""
    quarantined: Sequence[Quarantined]
    rules: Sequence[Rule]
    examples: Mapping[str, Sequence[Picture]]
    """Some usable images of each class."""
    faulty: Mapping[str, Sequence[Picture]]
    """Some images set aside, by reason, as far as they decode."""


def render(snapshot: Artifact[SnapshotManifest], findings: Findings, config: RunConfig) -> str:
    """One self-contained HTML page; the same content gives the same bytes."""
    return (
        page_templates()
        .get_template("validation.html.j2")
        .render(
            title=f"Validation of {config.name}",
            snapshot=snapshot,
            found=findings,
            total=sum(findings.counts.values()),
            largest=max(findings.counts.values(), default=0) or 1,
            least=config.validation.min_images_per_class,
            broken=[rule for rule in findings.rules if not rule.kept],
            reasons=reasons(findings.quarantined),
            rows=findings.quarantined[:_ROWS],
        )
    )


def plain_picture(record: Record, data: bytes) -> Picture | None:
    """An image as it is, or nothing where it does not decode."""
    try:
        image = decode(data)
    except InvalidInputError:
        return None
    return _picture(record, image, Image.fromarray(image))


def cell_picture(record: Record, data: bytes, contract: ModelContract) -> Picture:
    """A usable image with the located square drawn on it, and the crop beside it."""
    prepared = prepare(data, contract)
    image, box = Image.fromarray(prepared.image), prepared.box
    colour = _LOCATED if prepared.cell_found else _NOT_LOCATED
    corners = (box.left, box.top, box.left + box.side, box.top + box.side)
    ImageDraw.Draw(image).rectangle(corners, outline=colour, width=max(2, image.height // 80))
    return _picture(record, prepared.image, image, Image.fromarray(prepared.crop))


def _picture(record: Record, original: Pixels, *shown: Image.Image) -> Picture:
    height, width = original.shape[:2]
    return Picture(
        file=PurePosixPath(record.file).name,
        label=record.label,
        width=width,
        height=height,
        sources=tuple(map(_data_uri, shown)),
    )


def _data_uri(image: Image.Image) -> str:
    """The image, fitted into the box if it is larger."""
    image.thumbnail(_BOX)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
