"""Image packs: the images of an ingested archive in sixteen uncompressed zips, by hash."""

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import ArchiveManifest
from pipeline.digests import sha256_bytes
from pipeline.errors import ArtifactError
from pipeline.records import Record

PARTITIONS = 16
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time of a zip entry; constant, so that the same images give the same bytes."""


def partition(sha256: str) -> int:
    """Number of the pack that contains an image: the first hex digit of its hash, 0 to 15."""
    return int(sha256[0], 16)


def pack_name(number: int) -> str:
    """File name of a pack inside an archive artefact."""
    return f"images-{number:02d}.zip"


def write_packs(folder: Path, hashes: Iterable[str], read: Callable[[str], bytes]) -> None:
    """Write the sixteen packs of some images into a folder; one image is in memory at a time.

    Args:
        folder: folder for the packs.
        hashes: SHA-256 of each image.
        read: returns the bytes of the image with a hash.
    """
    ordered = sorted(set(hashes))
    for number in range(PARTITIONS):
        with zipfile.ZipFile(folder / pack_name(number), "w", zipfile.ZIP_STORED) as pack:
            for sha256 in ordered:
                if partition(sha256) == number:
                    pack.writestr(zipfile.ZipInfo(sha256, _EPOCH), read(sha256))


def read_images(store: ArtifactStore, records: Iterable[Record]) -> Iterator[tuple[Record, bytes]]:
    """Yield each record with its image's bytes, verified; one pack is in memory at a time.

    Returns:
        Pairs sorted by archive and hash.

    Raises:
        ArtifactError: when a pack is missing or changed, or an image is missing or changed.
    """

    def archive_and_pack(record: Record) -> tuple[str, int]:
        return record.archive, partition(record.sha256)

    ordered = sorted(records, key=lambda record: (record.archive, record.sha256))
    for (archive, number), group in groupby(ordered, key=archive_and_pack):
        opened = store.open(archive, ArchiveManifest)
        with zipfile.ZipFile(io.BytesIO(store.read(opened, pack_name(number)))) as pack:
            for record in group:
                yield record, _read(pack, record)


def _read(pack: zipfile.ZipFile, record: Record) -> bytes:
    """Bytes of one image; ArtifactError if it is missing or changed."""
    try:
        data = pack.read(record.sha256)
    except KeyError as error:
        raise ArtifactError(
            f"{record.archive} has no image {record.file}", expected=record.sha256
        ) from error
    if sha256_bytes(data) != record.sha256:
        raise ArtifactError(
            f"the image {record.file} in {record.archive} was changed", expected=record.sha256
        )
    return data
