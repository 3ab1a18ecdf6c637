"""The page a person reads before trusting a dataset: counts, what was set aside, what it shows."""

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image, ImageDraw

from pipeline.artifacts import Artifact, Quarantined, Record, SnapshotManifest
from pipeline.contract.preprocessing import Prepared, prepare
from pipeline.contract.spec import ModelContract
from pipeline.modeling.contact_sheet import contact_sheet

EXAMPLES = 12
"""Images of each class on the page."""
_ROWS = 200
"""Quarantined images listed one by one; the rest stand in `quarantine.csv`."""
_COLUMNS = 4
_THUMB = 256
_HEIGHT = 120
_TEMPLATE = "validation_report.html.j2"


@dataclass(frozen=True)
class _ClassRow:
    name: str
    images: int
    share: float
    """Of all images, in percent."""
    sheet: str
    """JPEG as a data URI, empty when there is nothing to show."""


def render(
    snapshot: Artifact[SnapshotManifest],
    counts: Mapping[str, int],
    quarantined: Sequence[Quarantined],
    examples: Mapping[str, Sequence[tuple[Record, bytes]]],
    contract: ModelContract,
) -> str:
    """One self-contained HTML page; the same content gives the same bytes.

    Args:
        snapshot: what was checked.
        counts: images per class, in the contract's order.
        quarantined: what was set aside.
        examples: some images of each class.
        contract: how a cell is located and cropped.
    """
    total = sum(counts.values())
    classes = [
        _ClassRow(
            name, images, 100 * images / max(total, 1), _sheet(examples.get(name, ()), contract)
        )
        for name, images in counts.items()
    ]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(_TEMPLATE).render(
        snapshot=snapshot,
        classes=classes,
        total=total,
        largest=max((row.images for row in classes), default=0),
        quarantined=quarantined[:_ROWS],
        quarantined_total=len(quarantined),
        reasons=Counter(image.reason for image in quarantined).most_common(),
    )


def _sheet(examples: Sequence[tuple[Record, bytes]], contract: ModelContract) -> str:
    if not examples:
        return ""
    rows = [
        (PurePosixPath(record.file).name[-36:], _side_by_side(prepare(data, contract)))
        for record, data in examples
    ]
    sheet = contact_sheet(rows, columns=_COLUMNS, thumb=_THUMB)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def _side_by_side(prepared: Prepared) -> bytes:
    """The image with the located square drawn on it, and the crop beside it, as PNG."""
    image = Image.fromarray(prepared.image)
    box = prepared.box
    width = max(2, round(image.height / 80))
    colour = "#12b886" if prepared.cell_found else "#e8590c"
    corners = (box.left, box.top, box.left + box.side, box.top + box.side)
    ImageDraw.Draw(image).rectangle(corners, outline=colour, width=width)
    image = image.resize((max(1, round(image.width * _HEIGHT / image.height)), _HEIGHT))
    crop = Image.fromarray(np.ascontiguousarray(prepared.crop)).resize((_HEIGHT, _HEIGHT))
    pair = Image.new("RGB", (image.width + 4 + crop.width, _HEIGHT), "white")
    pair.paste(image, (0, 0))
    pair.paste(crop, (image.width + 4, 0))
    out = io.BytesIO()
    pair.save(out, "PNG")
    return out.getvalue()
