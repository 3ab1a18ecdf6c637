"""Make the demo's archive and upload it to S3."""

from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.digests import sha256_file
from pipeline.errors import InvalidInputError
from pipeline.sample.archive import write_archive
from pipeline.steps.dataset.watch import list_archives, mark_seen, reserve_archive

SEED, CELLS_PER_CLASS, COPIES = 2026, 22, 4


def prepare_archive(data: Path | None, home: Path) -> Path:
    """Path of the user's archive, else of a sample archive, which is generated on first use.

    Raises:
        InvalidInputError: the user's archive does not exist.
    """
    if data is not None:
        if not data.is_file():
            raise InvalidInputError(
                "archive not found", expected="DATA=file.zip", received=str(data)
            )
        return data
    path = home / "data" / f"sample-{SEED}-{CELLS_PER_CLASS}-{COPIES}.zip"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        write_archive(part, seed=SEED, cells_per_class=CELLS_PER_CLASS, copies=COPIES)
        part.replace(path)
    return path


def upload(path: Path, name: str, store: ArtifactStore) -> tuple[str, bool]:
    """Upload the archive unless S3 has it; the ingestion DAG starts no training for it.

    The archive is reserved until the watcher's watermark has its new ETag, so that the watcher
    does not start a second training run. The ETag of a multipart upload is no hash of the file;
    a receipt, written last, therefore records the SHA-256 that belongs to the ETag.

    Returns:
        URI of the archive, and whether it was there already.
    """
    uri = f"{store.root}/archives/{name}/demo.zip"
    receipt, content = f"{uri}.sha256", sha256_file(path)
    present, recorded = store.objects.stat(uri), store.objects.read_tagged(receipt)
    if present and recorded and recorded[0].decode() == f"{content} {present.etag}":
        return uri, True
    reserve_archive(name, uri, store=store)
    store.objects.upload(path, uri)
    etag = list_archives(name, store=store)[uri]
    mark_seen(name, [{"uri": uri, "etag": etag}], store=store)
    store.objects.write(receipt, f"{content} {etag}".encode())
    return uri, False
