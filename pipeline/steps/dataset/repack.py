"""Repack: read a checked zip into records (hash, label, hints) and sixteen packs of images."""

import hashlib
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from pipeline.adapters.image_packs import write_packs
from pipeline.config.archive_limits import IngestConfig
from pipeline.errors import InvalidInputError
from pipeline.records import Record, to_csv
from pipeline.steps.dataset.archive_check import check_members, open_archive
from pipeline.steps.dataset.manifest_csv import MANIFEST_CSV, ManifestRow, read_manifest_csv

RECORDS = "records.csv"
_BLOCK = 1 << 20


def repack(path: Path, folder: Path, config: IngestConfig) -> list[Record]:
    """Check an archive, then write `records.csv` and sixteen packs of its images into `folder`.

    The same content and config give the same bytes. The records have an empty `archive`, because
    the artefact's address depends on them.

    Raises:
        InvalidInputError: when the archive breaks a rule, or its manifest is wrong.
    """
    with open_archive(path, config) as archive:
        members = {member.filename: member for member in check_members(archive, config)}
        manifest = members.pop(MANIFEST_CSV, None)
        rows = {}
        if manifest is not None:
            rows = read_manifest_csv(b"".join(_stream(archive, manifest)), members)
        hashes = {name: _sha256(archive, member) for name, member in members.items()}
        records = _limited(_records(hashes, rows, config), config.limit)
        if not records:
            raise InvalidInputError(
                f"{path.name} contains no images", expected="folders of images, named by class"
            )
        sources = {record.sha256: members[record.file] for record in records}
        write_packs(folder, sources, lambda sha256: b"".join(_stream(archive, sources[sha256])))
    (folder / RECORDS).write_text(to_csv(records, Record))
    return records


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
    hashes: Mapping[str, str], rows: Mapping[str, ManifestRow], config: IngestConfig
) -> list[Record]:
    """A record per file, sorted by hash; InvalidInputError for a bad `group_pattern`."""
    records = []
    for file, sha256 in hashes.items():
        row = rows.get(file, ManifestRow())
        records.append(
            Record(
                sha256=sha256,
                label=row.label or PurePosixPath(file).parent.name,
                file=file,
                archive="",
                hint=row.group or _hint(file, config.group_pattern),
                cell_hint=row.cell,
            )
        )
    return sorted(records, key=lambda record: (record.sha256, record.label, record.file))


def _hint(file: str, pattern: str) -> str:
    """The group in a file's name; empty without a match, InvalidInputError for a bad pattern."""
    if not pattern:
        return ""
    try:
        match = re.search(pattern, PurePosixPath(file).name)
        return (match.group(1) or "") if match else ""
    except (re.error, IndexError) as error:
        raise InvalidInputError(
            "invalid value for ingest.group_pattern",
            expected="a regular expression with one group",
            received=pattern,
        ) from error


def _limited(records: Sequence[Record], limit: int) -> list[Record]:
    """The first `limit` images of each label by hash, with all files of these images; 0 for all."""
    if not limit:
        return list(records)
    images: dict[str, list[str]] = defaultdict(list)
    for record in records:
        images[record.label].append(record.sha256)
    taken = {label: set(islice(dict.fromkeys(every), limit)) for label, every in images.items()}
    return [record for record in records if record.sha256 in taken[record.label]]
