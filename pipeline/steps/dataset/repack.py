"""Repack: read a checked zip into records (hash, label, hints) and sixteen packs of images."""

import hashlib
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from pipeline.adapters.image_packs import write_packs
from pipeline.config.archive_limits import EXCLUDED, IngestConfig
from pipeline.contract.class_names import by_canonical, canonical
from pipeline.contract.files.file_policy import (
    HEAD_BYTES,
    LeftOut,
    left_out_by_content,
)
from pipeline.contract.files.image_signatures import has_image_suffix
from pipeline.errors import InvalidInputError
from pipeline.records import FileCounts, Record, Skipped, is_returned, to_csv
from pipeline.steps.dataset.archives.archive_check import Member, check_members
from pipeline.steps.dataset.archives.archive_file import open_archive
from pipeline.steps.dataset.archives.manifest_csv import (
    ManifestRow,
    find_manifest,
    read_manifest_csv,
)
from pipeline.steps.dataset.folder_labels import group_of, label_of

RECORDS = "records.csv"
SKIPPED = "skipped.csv"
_BLOCK = 1 << 20
_MANIFEST_BYTES, _MANIFEST_BYTES_PER_FILE = 1_000_000, 1_000
"""Limit on `manifest.csv`, which is read into memory as a whole."""


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
        every = check_members(archive, config, lambda name: canonical(name) in spelling)
        members = {member.name: member for member in every}
        rows = _manifest_rows(archive, members, spelling, config)
        skipped = _left_out_by_name(members, rows, config)
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


def _manifest_rows(
    archive: zipfile.ZipFile,
    members: dict[str, Member],
    spelling: Mapping[str, str],
    config: IngestConfig,
) -> dict[str, ManifestRow]:
    """Rows of the archive's manifest by path, and removes it from `members`; empty without one."""
    path = find_manifest(
        [
            name
            for name, member in members.items()
            if not _is_ignored(member) and config.reason(name) != EXCLUDED
        ]
    )
    if path is None:
        return {}
    manifest = members.pop(path)
    largest = _MANIFEST_BYTES + _MANIFEST_BYTES_PER_FILE * len(members)
    if manifest.entry.file_size > largest:
        raise InvalidInputError(
            f"{path} is too large for a table of {len(members)} files",
            expected=f"at most {largest} bytes",
            received=f"{manifest.entry.file_size} bytes",
        )
    return read_manifest_csv(
        b"".join(_stream(archive, manifest)),
        members,
        path=path,
        aliases={alias: one.name for one in members.values() for alias in one.other_names},
        is_class=lambda name: canonical(name) in spelling,
    )


def _left_out_by_name(
    members: Mapping[str, Member], rows: Collection[str], config: IngestConfig
) -> dict[str, LeftOut]:
    """Path to reason of the files that their names or the patterns leave out, in any order.

    A row of the manifest makes a file an image again that only its folder leaves out. Returned
    labels are always read.
    """
    reasons: dict[str, LeftOut] = {}
    for file, member in members.items():
        if is_returned(file):
            continue
        by_name, by_pattern = member.left_out, config.reason(file)
        if by_pattern and not _is_ignored(member):
            reasons[file] = LeftOut("skipped", by_pattern)
        elif by_name and (_is_ignored(member) or file not in rows or not has_image_suffix(file)):
            reasons[file] = by_name
    return reasons


def _is_ignored(member: Member) -> bool:
    return member.left_out is not None and member.left_out.kind == "ignored"


def _stream(archive: zipfile.ZipFile, member: Member) -> Iterator[bytes]:
    """Blocks of a member; raises InvalidInputError if its size or CRC differs from its entry."""
    left = member.entry.file_size
    try:
        with archive.open(member.entry) as stream:
            while block := stream.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    break
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InvalidInputError(
            f"the archive is damaged at {member.name!r}", received=str(error)
        ) from error
    if left != 0:
        raise InvalidInputError(
            f"the archive is damaged at {member.name!r}",
            expected=f"{member.entry.file_size} bytes",
            received="more" if left < 0 else f"{member.entry.file_size - left} bytes",
        )


def _hashed(archive: zipfile.ZipFile, member: Member) -> tuple[str, LeftOut | None]:
    """SHA-256 of a member, and why its first bytes are no image; None if they may be one."""
    digest, head = hashlib.sha256(), b""
    for block in _stream(archive, member):
        head = head or block[:HEAD_BYTES]
        digest.update(block)
    return digest.hexdigest(), left_out_by_content(member.name, head)


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
