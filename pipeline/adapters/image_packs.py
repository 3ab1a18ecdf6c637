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
"""The earliest time in a zip, for every member: equal images give equal bytes."""


def partition(sha256: str) -> int:
    """Number of the pack with an image: 0 to 15, the first hex digit of its hash."""
    return int(sha256[0], 16)


def pack_name(number: int) -> str:
    """File name of a pack inside an archive artefact."""
    return f"images-{number:02d}.zip"


def write_packs(folder: Path, hashes: Iterable[str], read: Callable[[str], bytes]) -> None:
    """Write all sixteen packs, including empty ones; one image is in memory at a time.

    Args:
        folder: folder of the packs.
        hashes: SHA-256 of each image.
        read: returns the bytes of the image with a hash.
    """
    unique = sorted(set(hashes))
    for number in range(PARTITIONS):
        with zipfile.ZipFile(folder / pack_name(number), "w", zipfile.ZIP_STORED) as pack:
            for sha256 in unique:
                if partition(sha256) == number:
                    pack.writestr(zipfile.ZipInfo(sha256, _EPOCH), read(sha256))


def read_images(store: ArtifactStore, records: Iterable[Record]) -> Iterator[tuple[Record, bytes]]:
    """Each record with its image's verified bytes, in order of archive and hash.

    One pack is in memory at a time.

    Raises:
        ArtifactError: when a pack is missing or changed, or lacks an image.
    """

    def pack_of(record: Record) -> tuple[str, int]:
        return record.archive, partition(record.sha256)

    ordered = sorted(records, key=lambda record: (record.archive, record.sha256))
    for (archive, number), members in groupby(ordered, key=pack_of):
        opened = store.open(archive, ArchiveManifest)
        with zipfile.ZipFile(io.BytesIO(store.read(opened, pack_name(number)))) as pack:
            for record in members:
                yield record, _read(pack, record)


def _read(pack: zipfile.ZipFile, record: Record) -> bytes:
    try:
        data = pack.read(record.sha256)
    except KeyError as error:
        raise ArtifactError(
            f"{record.archive} has no image {record.file}", expected=record.sha256
        ) from error
    if sha256_bytes(data) != record.sha256:
        raise ArtifactError(f"{record.archive} contains other bytes for {record.file}")
    return data
