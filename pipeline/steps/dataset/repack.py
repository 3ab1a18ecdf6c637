"""Repack: read a checked zip into records (hash, label, hints) and sixteen packs of images."""

import hashlib
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from pipeline.adapters.image_packs import write_packs
from pipeline.config.archive_limits import IngestConfig
from pipeline.contract.class_names import by_canonical
from pipeline.errors import InvalidInputError
from pipeline.records import Record, Skipped, is_returned, to_csv
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
    with open_archive(path, config) as archive:
        members = {member.filename: member for member in check_members(archive, config)}
        manifest = members.pop(MANIFEST_CSV, None)
        rows = {}
        if manifest is not None:
            rows = read_manifest_csv(b"".join(_stream(archive, manifest)), members)
        skipped = _skipped(members, config)
        for one in skipped:
            del members[one.file]
        hashes = {name: _sha256(archive, member) for name, member in members.items()}
        records = _limited(_records(hashes, rows, classes, config), config.limit)
        if not records:
            raise InvalidInputError(
                f"{path.name} contains no images" + _counted(skipped),
                expected="folders of images, named by class",
            )
        sources = {record.sha256: members[record.file] for record in records}
        write_packs(folder, sources, lambda sha256: b"".join(_stream(archive, sources[sha256])))
    (folder / RECORDS).write_text(to_csv(records, Record))
    if skipped:
        (folder / SKIPPED).write_text(to_csv(skipped, Skipped))
    return records, skipped


def _skipped(files: Iterable[str], config: IngestConfig) -> list[Skipped]:
    """The files that the patterns leave out; returned labels are always read."""
    reasons = ((file, config.reason(file)) for file in files if not is_returned(file))
    return [Skipped(file=file, reason=reason) for file, reason in reasons if reason]


def _counted(skipped: Iterable[Skipped]) -> str:
    """`: 3 files are not matched by ingest.include`; empty if no file is skipped."""
    counts = Counter(one.reason for one in skipped)
    parts = [f"{count} files are {reason}" for reason, count in sorted(counts.items())]
    return ": " + ", ".join(parts) if parts else ""


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


def _sha256(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    digest = hashlib.sha256()
    for block in _stream(archive, member):
        digest.update(block)
    return digest.hexdigest()


def _records(
    hashes: Mapping[str, str],
    rows: Mapping[str, ManifestRow],
    classes: Iterable[str],
    config: IngestConfig,
) -> list[Record]:
    """A record per file, sorted by hash; InvalidInputError for a bad `group_pattern`."""
    spelling = by_canonical(classes)
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
