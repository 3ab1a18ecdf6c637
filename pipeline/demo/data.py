"""The archive the demo trains on, and how it reaches S3."""

import hashlib
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.errors import InvalidInputError
from pipeline.sample.archive import write_archive
from pipeline.steps.watch import mark_seen

SEED, CELLS_PER_CLASS, COPIES = 2026, 22, 4


def prepare_archive(data: Path | None, home: Path) -> Path:
    """The user's archive, else the drawn sample, which is drawn once.

    Raises:
        InvalidInputError: when the archive is not there.
    """
    if data is not None:
        if not data.is_file():
            raise InvalidInputError("no such archive", expected="DATA=file.zip", received=str(data))
        return data
    path = home / "data" / f"sample-{SEED}-{CELLS_PER_CLASS}-{COPIES}.zip"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        write_archive(part, seed=SEED, cells_per_class=CELLS_PER_CLASS, copies=COPIES)
        part.replace(path)
    return path


def upload(path: Path, name: str, store: ArtifactStore) -> tuple[str, bool]:
    """Put the archive at `archives/<name>/demo.zip`; returns its URI and whether it was there.

    The watermark is moved first, by the ETag the object will have, so that the watcher does not
    start a run of its own beside the demo's.
    """
    data = path.read_bytes()
    uri = f"{store.root}/archives/{name}/demo.zip"
    etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
    present = store.objects.stat(uri)
    if present is not None and present.etag == etag:
        return uri, True
    mark_seen(name, [{"uri": uri, "etag": etag}], store=store)
    store.objects.write(uri, data)
    return uri, False
