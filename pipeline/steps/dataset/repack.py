"""Repack: read a checked zip into records (hash, label, hints) and sixteen packs of images."""

import hashlib
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from pipeline.adapters.image_packs import write_packs
from pipeline.config.archive_limits import IngestConfig
from pipeline.contract.class_names import by_canonical, canonical
from pipeline.contract.files.file_policy import (
    HEAD_BYTES,
    LeftOut,
    left_out_by_content,
    left_out_by_path,
)
from pipeline.contract.files.image_signatures import has_image_suffix
from pipeline.errors import InvalidInputError
from pipeline.records import FileCounts, Record, Skipped, is_returned, to_csv
from pipeline.steps.dataset.archive_check import check_members, open_archive
from pipeline.steps.dataset.folder_labels import group_of, label_of
from pipeline.steps.dataset.manifest_csv import MANIFEST_CSV, ManifestRow, read_manifest_csv

RECORDS = "records.csv"
SKIPPED = "skipped.csv"
_BLOCK = 1 << 20


def repack(
    path: Path, folder: Path, config: IngestConfig, classes: Iterable[str]
) -> tuple[list[Record], list[Skipped]]:
    """Check an archive, then write `records.csv` and sixteen packs of its images into `folder`.

    The same content and config give the same bytes. The records have an empty `archive`, because
    the artefact's address depends on them.

    `skipped.csv` lists the files that are not read; without any, it is not written.

    Returns:
        The records, and the skipped files.

    Raises:
        InvalidInputError: when the archive breaks a rule, or its manifest is wrong.
    """
    spelling = by_canonical(classes)
    with open_archive(path, config) as archive:
        members = {member.filename: member for member in check_members(archive, config)}
        manifest = members.pop(MANIFEST_CSV, None)
        rows = {}
        if manifest is not None:
            rows = read_manifest_csv(b"".join(_stream(archive, manifest)), members)
        skipped = _left_out_by_path(members, rows, spelling, config)
        hashes: dict[str, str] = {}
        for name in sorted(members.keys() - skipped.keys()):
            hashes[name], reason = _hashed(archive, members[name])
            if reason:
                skipped[name] = reason
                del hashes[name]
        left_out = [Skipped(file=name, **vars(one)) for name, one in sorted(skipped.items())]
        records = _limited(_records(hashes, rows, spelling, config), config.limit)
        if not records:
            raise InvalidInputError(
                "; ".join([f"{path.name} contains no images", *FileCounts.of(left_out).lines()]),
                expected="folders of images, named by class",
            )
        sources = {record.sha256: members[record.file] for record in records}
        write_packs(folder, sources, lambda sha256: b"".join(_stream(archive, sources[sha256])))
    (folder / RECORDS).write_text(to_csv(records, Record))
    if left_out:
        (folder / SKIPPED).write_text(to_csv(left_out, Skipped))
    return records, left_out


def _left_out_by_path(
    files: Iterable[str],
    rows: Collection[str],
    spelling: Mapping[str, str],
    config: IngestConfig,
) -> dict[str, LeftOut]:
    """Path to reason of the files that their names or the patterns leave out, in any order.

    A row of the manifest makes a file an image again that only its folder leaves out. Returned
    labels are always read.
    """
    reasons: dict[str, LeftOut] = {}
    for file in files:
        if is_returned(file):
            continue
        by_name = left_out_by_path(file, lambda name: canonical(name) in spelling)
        by_pattern = config.reason(file)
        if by_pattern and not (by_name and by_name.kind == "ignored"):
            reasons[file] = LeftOut("skipped", by_pattern)
        elif by_name and not (
            by_name.kind == "skipped" and file in rows and has_image_suffix(file)
        ):
            reasons[file] = by_name
    return reasons


def _stream(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Blocks of a member; raises InvalidInputError if its size or CRC differs from its entry."""
    left = member.file_size
    try:
        with archive.open(member) as stream:
            while block := stream.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    break
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InvalidInputError(
            f"the archive is damaged at {member.filename!r}", received=str(error)
        ) from error
    if left != 0:
        raise InvalidInputError(
            f"the archive is damaged at {member.filename!r}",
            expected=f"{member.file_size} bytes",
            received="more" if left < 0 else f"{member.file_size - left} bytes",
        )


def _hashed(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[str, LeftOut | None]:
    """SHA-256 of a member, and why its first bytes are no image; None if they may be one."""
    digest, head = hashlib.sha256(), b""
    for block in _stream(archive, member):
        head = head or block[:HEAD_BYTES]
        digest.update(block)
    return digest.hexdigest(), left_out_by_content(member.filename, head)


def _records(
    hashes: Mapping[str, str],
    rows: Mapping[str, ManifestRow],
    spelling: Mapping[str, str],
    config: IngestConfig,
) -> list[Record]:
    """A record per file, sorted by hash; InvalidInputError for a bad `group_pattern`."""
    records = []
    for file, sha256 in hashes.items():
        row = rows.get(file, ManifestRow())
        records.append(
            Record(
                sha256=sha256,
                label=row.label or label_of(file, spelling),
                file=file,
                archive="",
                hint=row.group or group_of(file, spelling, config),
                cell_hint=row.cell,
            )
        )
    return sorted(records, key=lambda record: (record.sha256, record.label, record.file))


def _limited(records: Sequence[Record], limit: int) -> list[Record]:
    """The first `limit` images of each label by hash, with all files of these images; 0 for all."""
    if not limit:
        return list(records)
    images: dict[str, list[str]] = defaultdict(list)
    for record in records:
        images[record.label].append(record.sha256)
    taken = {label: set(islice(dict.fromkeys(every), limit)) for label, every in images.items()}
    return [record for record in records if record.sha256 in taken[record.label]]
