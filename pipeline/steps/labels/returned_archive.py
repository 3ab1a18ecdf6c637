"""Write kept images and their returned labels as a zip that ingest accepts."""

import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pipeline.adapters.storage import ObjectStore
from pipeline.digests import sha256_bytes
from pipeline.records import RETURNED, Frozen, to_csv
from pipeline.steps.dataset.archives.manifest_csv import MANIFEST_CSV

_log = logging.getLogger(__name__)

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time of a zip entry; constant, so that the same images give the same bytes."""


class _Row(Frozen):
    """Row of the archive's `manifest.csv`; the group is empty, since matching finds the group."""

    file: str
    label: str
    group: str = ""


def write_archive(
    path: Path, folder: str, labels: Mapping[str, str], objects: ObjectStore
) -> dict[str, str]:
    """Write kept images into a zip; returns the written labels, warns of missing or damaged images.

    The same images and labels give the same bytes.

    Args:
        path: path of the zip.
        folder: URI of the folder of kept images.
        labels: path below the folder, `<date>/<sha256>.png`, to label.
        objects: where the images are.

    Returns:
        Path below the folder to label, for the written images.
    """
    written: dict[str, str] = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for kept_at, label in sorted(labels.items()):
            image = _read_image(f"{folder}/{kept_at}", objects)
            if image is not None:
                written[kept_at] = label
                archive.writestr(zipfile.ZipInfo(_name(kept_at), _EPOCH), image)
        rows = [_Row(file=_name(kept_at), label=label) for kept_at, label in written.items()]
        archive.writestr(zipfile.ZipInfo(MANIFEST_CSV, _EPOCH), to_csv(rows, _Row))
    return written


def _name(kept_at: str) -> str:
    """File name in the archive for the path of a kept image."""
    return RETURNED + PurePosixPath(kept_at).name


def _read_image(uri: str, objects: ObjectStore) -> bytes | None:
    """The image; None, with a warning, if it is missing or its hash differs from its name."""
    stored = objects.read_tagged(uri)
    if stored is None or sha256_bytes(stored[0]) != PurePosixPath(uri).stem:
        _log.warning("gather: skipped %s: missing or damaged", uri)
        return None
    return stored[0]
