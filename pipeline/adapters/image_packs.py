"""Image bytes in packs: an ingested archive keeps them in sixteen uncompressed zips by hash."""

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
"""The oldest time a zip can hold: the same images always give the same bytes."""


def partition(sha256: str) -> int:
    """Which pack holds an image: 0 to 15, the first hex digit of its hash."""
    return int(sha256[0], 16)


def pack_name(number: int) -> str:
    """File name of a pack inside an archive artefact."""
    return f"images-{number:02d}.zip"


def write_packs(folder: Path, hashes: Iterable[str], read: Callable[[str], bytes]) -> None:
    """Write all sixteen packs, empty ones too; one image is in memory at a time.

    Args:
        folder: where the packs go.
        hashes: SHA-256 of each image.
        read: gives the bytes of the image with that hash.
    """
    wanted = sorted(set(hashes))
    for number in range(PARTITIONS):
        with zipfile.ZipFile(folder / pack_name(number), "w", zipfile.ZIP_STORED) as pack:
            for sha256 in wanted:
                if partition(sha256) == number:
                    pack.writestr(zipfile.ZipInfo(sha256, _EPOCH), read(sha256))


def read_images(store: ArtifactStore, records: Iterable[Record]) -> Iterator[tuple[Record, bytes]]:
    """Each record with its image's bytes, verified; one pack is in memory at a time.

    Returns:
        Pairs in order of archive and hash, whatever the order of `records`.

    Raises:
        ArtifactError: when a pack is missing, was changed, or lacks an image.
    """

    def place(record: Record) -> tuple[str, int]:
        return record.archive, partition(record.sha256)

    ordered = sorted(records, key=lambda record: (record.archive, record.sha256))
    for (archive, number), wanted in groupby(ordered, key=place):
        opened = store.open(archive, ArchiveManifest)
        with zipfile.ZipFile(io.BytesIO(store.read(opened, pack_name(number)))) as pack:
            for record in wanted:
                yield record, _read(pack, record)


def _read(pack: zipfile.ZipFile, record: Record) -> bytes:
    try:
        data = pack.read(record.sha256)
    except KeyError as error:
        raise ArtifactError(
            f"{record.archive} has no image {record.file}", expected=record.sha256
        ) from error
    if sha256_bytes(data) != record.sha256:
        raise ArtifactError(f"{record.archive} holds other bytes for {record.file}")
    return data
