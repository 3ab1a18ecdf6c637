"""Watch: which archives are new or changed since somebody last looked."""

from collections.abc import Iterable

from pydantic import Field

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import Document
from pipeline.records import Frozen

Archives = list[dict[str, str]]
"""Each with `uri`, `etag` and the `turn` in which it was claimed."""


class Watermark(Frozen):
    """`watermarks/<name>.json`: URI to ETag of what was handed on, and of what is being."""

    seen: dict[str, str] = Field(default_factory=dict)
    pending: dict[str, str] = Field(default_factory=dict)
    held: tuple[str, ...] = ()
    """URIs that are not handed on until they are marked seen: somebody else trains on them."""
    turn: int = 0
    """Claims made so far: it tells an archive that returned to an earlier content from that one."""


def uploaded(name: str, *, store: ArtifactStore) -> dict[str, str]:
    """ETags of `archives/<name>/*.zip` by URI."""
    return {
        item.uri: item.etag
        for item in store.objects.list(f"{store.root}/archives/{name}/")
        if item.uri.lower().endswith(".zip")
    }


def new_archives(name: str, *, store: ArtifactStore) -> Archives:
    """Each `archives/<name>/*.zip` whose ETag is not the one last seen, now marked pending.

    While something is pending, the same list comes back: a watcher that died goes on with it.
    """

    def claim(mark: Watermark) -> Watermark:
        if mark.pending:
            return mark
        # Listed only now that the mark was read: what is held or seen meanwhile changes the mark,
        # and then this claim loses and is made again.
        fresh = {
            uri: etag
            for uri, etag in uploaded(name, store=store).items()
            if uri not in mark.held and mark.seen.get(uri) != etag
        }
        if not fresh:
            return mark
        return mark.model_copy(update={"pending": fresh, "turn": mark.turn + 1})

    _, mark = _document(name, store).update(claim)
    turn = str(mark.turn)
    return [{"uri": uri, "etag": etag, "turn": turn} for uri, etag in sorted(mark.pending.items())]


def hold(name: str, uri: str, *, store: ArtifactStore) -> None:
    """Hand an archive on to nobody until it is marked seen: for who replaces it and trains."""
    _document(name, store).update(
        lambda mark: mark.model_copy(update={"held": tuple(sorted({*mark.held, uri}))})
    )


def mark_seen(name: str, archives: Iterable[dict[str, str]], *, store: ArtifactStore) -> None:
    """Move the watermark past archives, whether they were pending, held or neither."""
    done = {archive["uri"]: archive["etag"] for archive in archives}

    def settle(mark: Watermark) -> Watermark:
        left = {uri: etag for uri, etag in mark.pending.items() if done.get(uri) != etag}
        held = tuple(uri for uri in mark.held if uri not in done)
        return mark.model_copy(update={"seen": mark.seen | done, "pending": left, "held": held})

    _document(name, store).update(settle)


def _document(name: str, store: ArtifactStore) -> Document[Watermark]:
    uri = f"{store.root}/watermarks/{name}.json"
    return Document(store.objects, uri, Watermark.model_validate_json, Watermark())
