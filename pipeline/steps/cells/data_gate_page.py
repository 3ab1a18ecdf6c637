"""The data gate's report: contradicting images side by side, and one laid over the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import Artifact, GroupingManifest
from pipeline.contract.decoding import Pixels, decode
from pipeline.contract.model_contract import ModelContract
from pipeline.pages.report_site import page_templates
from pipeline.records import ImageMatch, Quarantined, Record
from pipeline.steps.cells.matching.fingerprint import Fingerprint, extract_fingerprint
from pipeline.steps.cells.matching.overlap import MIN_INLIERS, find_overlap
from pipeline.steps.dataset.validation_page import Picture, picture, thumbnail, thumbnail_uri
from pipeline.steps.dataset.validation_rules import Rule, reasons

_MAX_PAIRS = 12
"""Pairs per section of the report."""


@dataclass(frozen=True)
class _Described:
    """An image of the report, without its full-size pixels."""

    picture: Picture
    fingerprint: Fingerprint
    thumbnail: Pixels


@dataclass(frozen=True)
class Pair:
    """Two images that show one cell."""

    one: Picture
    other: Picture
    laid_over: str
    """JPEG as a data URI: the first image, warped into the frame of the second."""
    inliers: int


def sections_of_pairs(
    matches: Mapping[str, Sequence[ImageMatch]],
    records: Sequence[Record],
    contract: ModelContract,
    store: ArtifactStore,
) -> dict[str, list[Pair]]:
    """Pictures of the first twelve matches of each section, by title; reads images from the store.

    Each image is read and decoded once, whatever the number of its pairs and sections.
    """
    sections = {title: every[:_MAX_PAIRS] for title, every in matches.items()}
    distinct = {match for section in sections.values() for match in section}
    hashes = {sha256 for match in distinct for sha256 in (match.one, match.other)}
    images = {
        record.sha256: _describe(record, decode(data), contract)
        for record, data in read_images(store, [r for r in records if r.sha256 in hashes])
    }
    pairs = {match: _pair(match, images[match.one], images[match.other]) for match in distinct}
    return {title: [pairs[match] for match in section] for title, section in sections.items()}


def render(
    grouping: Artifact[GroupingManifest],
    sections: Mapping[str, Sequence[Pair]],
    rules: Sequence[Rule],
    quarantined: Sequence[Quarantined],
) -> str:
    """The data gate's report as a self-contained HTML page; equal content gives equal bytes."""
    return (
        page_templates()
        .get_template("data_gate.html.j2")
        .render(
            title=f"Data gate of {grouping.manifest.name}",
            grouping=grouping,
            sections=sections,
            rules=rules,
            broken=[rule for rule in rules if not rule.passed],
            quarantined=quarantined,
            reasons=reasons(quarantined),
        )
    )


def _describe(record: Record, image: Pixels, contract: ModelContract) -> _Described:
    small = np.asarray(thumbnail(image))
    return _Described(picture(record, image, contract), extract_fingerprint(image), small)


def _pair(match: ImageMatch, one: _Described, other: _Described) -> Pair:
    return Pair(one.picture, other.picture, thumbnail_uri(_warped(one, other)), match.inliers)


def _warped(one: _Described, other: _Described) -> Pixels:
    """The first thumbnail in the frame of the second; unchanged if no affine map is found."""
    overlap = find_overlap(one.fingerprint, other.fingerprint, MIN_INLIERS)
    if overlap is None:
        return one.thumbnail
    height, width = other.thumbnail.shape[:2]
    # The map is in units of the longer side.
    matrix = overlap.map.copy()
    matrix[:, :2] *= max(height, width) / max(one.thumbnail.shape[:2])
    matrix[:, 2] *= max(height, width)
    return cv2.warpAffine(one.thumbnail, matrix, (width, height)).astype("uint8")
