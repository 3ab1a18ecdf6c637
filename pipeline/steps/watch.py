"""Watch: which archives are new or changed since somebody last looked."""

import json
from collections.abc import Callable, Iterable

from pydantic import Field

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Frozen
from pipeline.errors import ConflictError

Archives = list[dict[str, str]]
"""Each with `uri` and `etag`."""


class Watermark(Frozen):
    """`watermarks/<name>.json`: URI to ETag of what was handed on, and of what is being."""

    seen: dict[str, str] = Field(default_factory=dict)
    pending: dict[str, str] = Field(default_factory=dict)


def new_archives(name: str, *, store: ArtifactStore) -> Archives:
    """Each `archives/<name>/*.zip` whose ETag is not the one last seen, now marked pending.

    While something is pending, the same list comes back: a watcher that died goes on with it.
    """
    found = {
        item.uri: item.etag
        for item in store.objects.list(f"{store.root}/archives/{name}/")
        if item.uri.endswith(".zip")
    }

    def claim(mark: Watermark) -> Watermark:
        fresh = {uri: etag for uri, etag in found.items() if mark.seen.get(uri) != etag}
        return mark if mark.pending else mark.model_copy(update={"pending": fresh})

    pending = _update(name, claim, store).pending
    return [{"uri": uri, "etag": etag} for uri, etag in sorted(pending.items())]


def mark_seen(name: str, archives: Iterable[dict[str, str]], *, store: ArtifactStore) -> None:
    """Move the watermark past archives, whether they were pending or not."""
    done = {archive["uri"]: archive["etag"] for archive in archives}

    def settle(mark: Watermark) -> Watermark:
        left = {uri: etag for uri, etag in mark.pending.items() if done.get(uri) != etag}
        return Watermark(seen=mark.seen | done, pending=left)

    _update(name, settle, store)


def _update(name: str, change: Callable[[Watermark], Watermark], store: ArtifactStore) -> Watermark:
    """Apply a change by compare-and-set, so that no two watchers lose one."""
    uri = f"{store.root}/watermarks/{name}.json"
    while True:
        found = store.objects.read_tagged(uri)
        before = Watermark.model_validate_json(found[0]) if found else Watermark()
        after = change(before)
        if after == before:
            return after
        body = json.dumps(after.model_dump(), indent=2, sort_keys=True).encode()
        try:
            if found is None:
                store.objects.write(uri, body, if_absent=True)
            else:
                store.objects.write(uri, body, if_match=found[1])
        except ConflictError:
            continue
        return after
