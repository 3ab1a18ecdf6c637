"""The page that shows, side by side, which images contradict each other."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
from PIL import Image

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import Artifact, GroupingManifest
from pipeline.contract.decoding import Pixels, decode
from pipeline.contract.spec import ModelContract
from pipeline.pages.report_site import page_templates
from pipeline.records import Link, Quarantined, Record
from pipeline.steps.cells.matching.overlap import MIN_INLIERS, overlap
from pipeline.steps.cells.matching.view import view
from pipeline.steps.dataset.validation_page import Picture, cell_picture, plain_picture
from pipeline.steps.dataset.validation_rules import Rule, reasons

_MOST = 12
"""Pairs shown of each kind."""


@dataclass(frozen=True)
class Pair:
    """Two images that show one cell."""

    one: Picture
    other: Picture
    laid_over: Picture
    """The first, moved to where it lies on the second."""
    inliers: int


def pairs_of(
    links: Sequence[Link], records: Sequence[Record], contract: ModelContract, store: ArtifactStore
) -> list[Pair]:
    """Pictures of at most twelve links."""
    chosen = links[:_MOST]
    wanted = {sha256 for link in chosen for sha256 in (link.one, link.other)}
    read = read_images(store, [record for record in records if record.sha256 in wanted])
    found = {record.sha256: (record, data) for record, data in read}
    return [_pair(link, found[link.one], found[link.other], contract) for link in chosen]


def render(
    grouping: Artifact[GroupingManifest],
    shown: Mapping[str, Sequence[Pair]],
    rules: Sequence[Rule],
    aside: Sequence[Quarantined],
) -> str:
    """One self-contained HTML page; the same content gives the same bytes."""
    return (
        page_templates()
        .get_template("data_gate.html.j2")
        .render(
            title=f"Data gate of {grouping.manifest.name}",
            grouping=grouping,
            shown=shown,
            rules=rules,
            broken=[rule for rule in rules if not rule.kept],
            aside=aside,
            reasons=reasons(aside),
        )
    )


def _pair(
    link: Link, one: tuple[Record, bytes], other: tuple[Record, bytes], contract: ModelContract
) -> Pair:
    moved = _moved(decode(one[1]), decode(other[1]))
    out = io.BytesIO()
    Image.fromarray(moved).save(out, "PNG")
    over = plain_picture(one[0], out.getvalue())
    assert over is not None, "a PNG that was just written decodes"
    return Pair(cell_picture(*one, contract), cell_picture(*other, contract), over, link.inliers)


def _moved(one: Pixels, other: Pixels) -> Pixels:
    """The first image in the frame of the second."""
    found = overlap(view(one), view(other), MIN_INLIERS)
    if found is None:
        return one
    height, width = other.shape[:2]
    matrix = found.map.copy()
    matrix[:, :2] *= max(height, width) / max(one.shape[:2])
    matrix[:, 2] *= max(height, width)
    return cv2.warpAffine(one, matrix, (width, height)).astype("uint8")
