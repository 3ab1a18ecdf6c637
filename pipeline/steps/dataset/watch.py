"""Watch: claim archives that are new or changed since the last training run."""

from collections.abc import Iterable

from pydantic import Field

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import Document
from pipeline.records import Frozen

Archives = list[dict[str, str]]
"""Each with `uri`, `etag` and the number (`turn`) of the claim."""


class ArchiveWatermark(Frozen):
    """`watermarks/<name>.json`: the archives that have started training, and those that will."""

    seen: dict[str, str] = Field(default_factory=dict)
    """URI to ETag of archives that have started training."""
    pending: dict[str, str] = Field(default_factory=dict)
    """URI to ETag of claimed archives, which start training next."""
    held: tuple[str, ...] = ()
    """URIs of reserved archives: no claim takes them until they are marked seen."""
    turn: int = 0
    """Number of claims; distinguishes two claims of an archive that returned to earlier content."""


_OTHER_ARCHIVES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zst")
"""Extensions of archives that are not read."""


def list_other_archives(name: str, *, store: ArtifactStore) -> dict[str, str]:
    """URI to ETag of archives in `archives/<name>/` that are no zip, by their extension."""
    return {
        item.uri: item.etag
        for item in store.objects.list(f"{store.root}/archives/{name}/")
        if item.uri.lower().endswith(_OTHER_ARCHIVES)
    }


def list_archives(name: str, *, store: ArtifactStore) -> dict[str, str]:
    """URI to ETag of each `archives/<name>/*.zip`."""
    return {
        item.uri: item.etag
        for item in store.objects.list(f"{store.root}/archives/{name}/")
        if item.uri.lower().endswith(".zip")
    }


def claim_archives(name: str, *, store: ArtifactStore) -> Archives:
    """Mark new and changed archives pending, and return them; again until they are marked seen.

    A restarted watcher thus continues with the same claim.
    """

    def claim(mark: ArchiveWatermark) -> ArchiveWatermark:
        if mark.pending:
            return mark
        # List after reading the watermark: if another writer changes it meanwhile, this claim is
        # repeated.
        fresh = {
            uri: etag
            for uri, etag in list_archives(name, store=store).items()
            if uri not in mark.held and mark.seen.get(uri) != etag
        }
        if not fresh:
            return mark
        return mark.model_copy(update={"pending": fresh, "turn": mark.turn + 1})

    _, mark = _document(name, store).update(claim)
    turn = str(mark.turn)
    return [{"uri": uri, "etag": etag, "turn": turn} for uri, etag in sorted(mark.pending.items())]


def reserve_archive(name: str, uri: str, *, store: ArtifactStore) -> None:
    """Keep an archive out of later claims until `mark_seen`, for a caller that trains on it."""
    _document(name, store).update(
        lambda mark: mark.model_copy(update={"held": tuple(sorted({*mark.held, uri}))})
    )


def mark_seen(name: str, archives: Iterable[dict[str, str]], *, store: ArtifactStore) -> None:
    """Mark archives seen, whether they were pending, reserved or neither."""
    done = {archive["uri"]: archive["etag"] for archive in archives}

    def acknowledge(mark: ArchiveWatermark) -> ArchiveWatermark:
        pending = {uri: etag for uri, etag in mark.pending.items() if done.get(uri) != etag}
        held = tuple(uri for uri in mark.held if uri not in done)
        return mark.model_copy(update={"seen": mark.seen | done, "pending": pending, "held": held})

    _document(name, store).update(acknowledge)


def _document(name: str, store: ArtifactStore) -> Document[ArchiveWatermark]:
    uri = f"{store.root}/watermarks/{name}.json"
    return Document(store.objects, uri, ArchiveWatermark.model_validate_json, ArchiveWatermark())
