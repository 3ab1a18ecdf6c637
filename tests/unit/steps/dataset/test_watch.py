"""Each new or changed archive is handed on once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.steps.dataset.watch import hold, mark_seen, new_archives, uploaded


def put(store: ArtifactStore, path: str, content: bytes = b"content") -> str:
    uri = f"{store.root}/archives/{path}"
    store.objects.write(uri, content)
    return uri


def found(store: ArtifactStore, name: str = "cells") -> list[str]:
    return [archive["uri"] for archive in new_archives(name, store=store)]


def test_nothing_is_new_where_nothing_is(store: ArtifactStore) -> None:
    """A quiet look writes nothing down."""
    assert new_archives("cells", store=store) == []
    assert list(store.objects.list(f"{store.root}/watermarks/")) == []


def test_only_the_names_own_zips_count(store: ArtifactStore) -> None:
    """Neither other files nor the archives of a name that begins alike."""
    wanted = put(store, "cells/a.zip")
    put(store, "cells/readme.txt")
    put(store, "cells2/b.zip")
    assert found(store) == [wanted]
    assert found(store, "cell") == []


def test_what_was_handed_on_comes_again_until_it_is_seen(store: ArtifactStore) -> None:
    """A watcher that died between look and trigger goes on with the same list."""
    first = put(store, "cells/a.zip")
    claimed = new_archives("cells", store=store)
    assert [archive["uri"] for archive in claimed] == [first]
    second = put(store, "cells/b.zip")
    assert new_archives("cells", store=store) == claimed
    mark_seen("cells", claimed, store=store)
    assert found(store) == [second]


def test_what_was_seen_is_not_new(store: ArtifactStore) -> None:
    """After the mark an archive is quiet, also put there again with the same content."""
    put(store, "cells/a.zip")
    mark_seen("cells", new_archives("cells", store=store), store=store)
    assert found(store) == []
    put(store, "cells/a.zip")
    assert found(store) == []


def test_a_replaced_archive_is_new(store: ArtifactStore) -> None:
    """Another content under the same name is handed on, and so is the first content again."""
    claims = []
    for content in (b"one", b"two", b"one"):
        put(store, "cells/a.zip", content)
        claims.append(new_archives("cells", store=store))
        mark_seen("cells", claims[-1], store=store)
    assert all(len(claim) == 1 for claim in claims)
    # An Airflow run is named after its claim, so each claim must differ from all before.
    assert len({str(claim) for claim in claims}) == 3


def test_an_archive_replaced_while_pending_is_handed_on_after(store: ArtifactStore) -> None:
    """The mark of the old content does not cover the new one."""
    uri = put(store, "cells/a.zip", b"one")
    claimed = new_archives("cells", store=store)
    put(store, "cells/a.zip", b"two")
    assert new_archives("cells", store=store) == claimed
    mark_seen("cells", claimed, store=store)
    assert found(store) == [uri]
    mark_seen("cells", new_archives("cells", store=store), store=store)
    assert found(store) == []


def test_what_a_run_by_hand_used_is_not_new(store: ArtifactStore) -> None:
    """A mark counts whether a watcher had claimed the archive or not."""
    uri = put(store, "cells/a.zip")
    info = store.objects.stat(uri)
    assert info is not None
    mark_seen("cells", [{"uri": uri, "etag": info.etag}], store=store)
    assert found(store) == []


def test_what_is_held_is_not_handed_on(store: ArtifactStore) -> None:
    """Neither the old content nor the new one, until it is marked seen; others are."""
    uri = put(store, "cells/mine.zip", b"old")
    hold("cells", uri, store=store)
    assert found(store) == []
    put(store, "cells/mine.zip", b"new")
    other = put(store, "cells/other.zip")
    assert found(store) == [other]
    etag = uploaded("cells", store=store)[uri]
    mark_seen("cells", [{"uri": uri, "etag": etag}], store=store)
    mark_seen("cells", new_archives("cells", store=store), store=store)
    assert found(store) == []
    put(store, "cells/mine.zip", b"newer")
    assert found(store) == [uri]


class Interrupted(LocalStore):
    """Lets somebody else act once, right before the next write to a watermark."""

    def __init__(self) -> None:
        self.before_mark: list[Callable[[], None]] = []

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        """As a local store does."""
        if "/watermarks/" in uri and self.before_mark:
            self.before_mark.pop()()
        return super().write(uri, data, if_match=if_match, if_absent=if_absent)


def test_an_archive_replaced_under_hold_while_a_watcher_looks(tmp_path: Path) -> None:
    """A look that saw the old content claims nothing once the new one is marked seen."""
    objects = Interrupted()
    store = ArtifactStore(objects, str(tmp_path))
    mark_seen("cells", [{"uri": "another", "etag": "x"}], store=store)
    uri = put(store, "cells/mine.zip", b"old")

    def replace() -> None:
        hold("cells", uri, store=store)
        put(store, "cells/mine.zip", b"new")
        new = {"uri": uri, "etag": uploaded("cells", store=store)[uri]}
        mark_seen("cells", [new], store=store)

    objects.before_mark.append(replace)
    assert found(store) == []
    assert not objects.before_mark


@pytest.mark.parametrize("watchers", [2, 6])
def test_watchers_at_once_make_one_claim(store: ArtifactStore, watchers: int) -> None:
    """All of them get the same list, so that what they start has the same name."""
    for number in range(5):
        put(store, f"cells/{number}.zip")
    with ThreadPoolExecutor(watchers) as pool:
        claims = list(pool.map(lambda _: new_archives("cells", store=store), range(watchers)))
    assert len({str(claim) for claim in claims}) == 1
    with ThreadPoolExecutor(watchers) as pool:
        list(pool.map(lambda claim: mark_seen("cells", claim, store=store), claims))
    assert found(store) == []


def test_marks_at_once_lose_none(store: ArtifactStore) -> None:
    """Six tasks that mark one archive each leave six marks."""
    for number in range(6):
        put(store, f"cells/{number}.zip")
    claimed = new_archives("cells", store=store)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda archive: mark_seen("cells", [archive], store=store), claimed))
    assert found(store) == []
