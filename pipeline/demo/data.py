"""The archive the demo trains on, and how it reaches S3."""

from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import sha256_file
from pipeline.errors import InvalidInputError
from pipeline.sample.archive import write_archive
from pipeline.steps.dataset.watch import list_archives, mark_seen, reserve_archive

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

    The watcher is held off until its watermark has the new ETag, so that it starts no run of its
    own beside the demo's. A receipt, written last, says which file the object is: the ETag of an
    object that went up in parts is no hash of it.
    """
    uri = f"{store.root}/archives/{name}/demo.zip"
    receipt, content = f"{uri}.sha256", sha256_file(path)
    present, said = store.objects.stat(uri), store.objects.read_tagged(receipt)
    if present and said and said[0].decode() == f"{content} {present.etag}":
        return uri, True
    reserve_archive(name, uri, store=store)
    store.objects.upload(path, uri)
    etag = list_archives(name, store=store)[uri]
    mark_seen(name, [{"uri": uri, "etag": etag}], store=store)
    store.objects.write(receipt, f"{content} {etag}".encode())
    return uri, False
