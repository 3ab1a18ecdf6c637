"""Kept images and the labels returned for them, as a zip like anybody's."""

import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pipeline.adapters.storage import ObjectStore
from pipeline.digests import sha256_bytes
from pipeline.records import RETURNED, Frozen, to_csv
from pipeline.steps.dataset.manifest_csv import MANIFEST_CSV

_log = logging.getLogger(__name__)

_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""Time of every member, the first that a zip can say: the same images are the same bytes."""


class _Row(Frozen):
    """Of `manifest.csv`; near duplicates, not requests, tell which cell an image shows."""

    file: str
    label: str
    group: str = ""


def write_archive(
    path: Path, folder: str, labels: Mapping[str, str], objects: ObjectStore
) -> dict[str, str]:
    """Write the images and their `manifest.csv`, always as the same bytes; those of `labels` in it.

    Args:
        path: of the zip.
        folder: URI below which the images are kept.
        labels: path below it, `<date>/<sha256>.png`, to label.
        objects: where the images are.
    """
    taken: dict[str, str] = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for kept_at, label in sorted(labels.items()):
            image = _image(f"{folder}/{kept_at}", objects)
            if image is not None:
                taken[kept_at] = label
                archive.writestr(zipfile.ZipInfo(_name(kept_at), _LONG_AGO), image)
        rows = [_Row(file=_name(kept_at), label=label) for kept_at, label in taken.items()]
        archive.writestr(zipfile.ZipInfo(MANIFEST_CSV, _LONG_AGO), to_csv(rows, _Row))
    return taken


def _name(kept_at: str) -> str:
    return RETURNED + PurePosixPath(kept_at).name


def _image(uri: str, objects: ObjectStore) -> bytes | None:
    """An image that is what its name says; a power cut may have left half of one."""
    found = objects.read_tagged(uri)
    if found is None or sha256_bytes(found[0]) != PurePosixPath(uri).stem:
        _log.warning("gather: %s is missing or damaged and is left out", uri)
        return None
    return found[0]
