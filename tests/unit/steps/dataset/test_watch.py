"""The watcher claims each new or changed archive once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.steps.dataset.watch import claim_archives, list_archives, mark_seen, reserve_archive


def put(store: ArtifactStore, path: str, content: bytes = b"content") -> str:
    uri = f"{store.root}/archives/{path}"
    store.objects.write(uri, content)
    return uri


def found(store: ArtifactStore, name: str = "cells") -> list[str]:
    return [archive["uri"] for archive in claim_archives(name, store=store)]


def test_an_empty_folder_has_no_new_archives(store: ArtifactStore) -> None:
    """Nothing is claimed and no watermark is written."""
    assert claim_archives("cells", store=store) == []
    assert list(store.objects.list(f"{store.root}/watermarks/")) == []


def test_only_zips_of_the_name_are_claimed(store: ArtifactStore) -> None:
    """Other files, and archives of a name with the same prefix, are ignored."""
    expected = put(store, "cells/a.zip")
    put(store, "cells/readme.txt")
    put(store, "cells2/b.zip")
    assert found(store) == [expected]
    assert found(store, "cell") == []


def test_a_claim_is_repeated_until_it_is_marked_seen(store: ArtifactStore) -> None:
    """A watcher that was killed before starting the run gets the same list again."""
    first = put(store, "cells/a.zip")
    claimed = claim_archives("cells", store=store)
    assert [archive["uri"] for archive in claimed] == [first]
    second = put(store, "cells/b.zip")
    assert claim_archives("cells", store=store) == claimed
    mark_seen("cells", claimed, store=store)
    assert found(store) == [second]


def test_a_seen_archive_is_not_new(store: ArtifactStore) -> None:
    """A seen archive is not claimed again, also if it is uploaded again with the same content."""
    put(store, "cells/a.zip")
    mark_seen("cells", claim_archives("cells", store=store), store=store)
    assert found(store) == []
    put(store, "cells/a.zip")
    assert found(store) == []


def test_a_replaced_archive_is_new(store: ArtifactStore) -> None:
    """New content under the same name is claimed, and so is the first content after it."""
    claims = []
    for content in (b"one", b"two", b"one"):
        put(store, "cells/a.zip", content)
        claims.append(claim_archives("cells", store=store))
        mark_seen("cells", claims[-1], store=store)
    assert all(len(claim) == 1 for claim in claims)
    # An Airflow run is named after its claim, so each claim must differ from all before.
    assert len({str(claim) for claim in claims}) == 3


def test_an_archive_replaced_while_pending_is_claimed_next(store: ArtifactStore) -> None:
    """Marking the old content seen does not include the new content."""
    uri = put(store, "cells/a.zip", b"one")
    claimed = claim_archives("cells", store=store)
    put(store, "cells/a.zip", b"two")
    assert claim_archives("cells", store=store) == claimed
    mark_seen("cells", claimed, store=store)
    assert found(store) == [uri]
    mark_seen("cells", claim_archives("cells", store=store), store=store)
    assert found(store) == []


def test_an_archive_used_by_a_manual_run_is_not_new(store: ArtifactStore) -> None:
    """An archive can be marked seen without a claim."""
    uri = put(store, "cells/a.zip")
    info = store.objects.stat(uri)
    assert info is not None
    mark_seen("cells", [{"uri": uri, "etag": info.etag}], store=store)
    assert found(store) == []


def test_a_reserved_archive_is_not_claimed(store: ArtifactStore) -> None:
    """Neither its old nor its new content is claimed until it is marked seen; others are."""
    uri = put(store, "cells/mine.zip", b"old")
    reserve_archive("cells", uri, store=store)
    assert found(store) == []
    put(store, "cells/mine.zip", b"new")
    other = put(store, "cells/other.zip")
    assert found(store) == [other]
    etag = list_archives("cells", store=store)[uri]
    mark_seen("cells", [{"uri": uri, "etag": etag}], store=store)
    mark_seen("cells", claim_archives("cells", store=store), store=store)
    assert found(store) == []
    put(store, "cells/mine.zip", b"newer")
    assert found(store) == [uri]


class Interrupted(LocalStore):
    """A store that runs another writer once, right before the next write to a watermark."""

    def __init__(self) -> None:
        self.before_mark: list[Callable[[], None]] = []

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        """Write like the local store, after the other writer."""
        if "/watermarks/" in uri and self.before_mark:
            self.before_mark.pop()()
        return super().write(uri, data, if_match=if_match, if_absent=if_absent)


def test_a_reserved_archive_replaced_during_a_claim_is_not_claimed(tmp_path: Path) -> None:
    """A claim that read the old content takes nothing once the new content is marked seen."""
    objects = Interrupted()
    store = ArtifactStore(objects, str(tmp_path))
    mark_seen("cells", [{"uri": "another", "etag": "x"}], store=store)
    uri = put(store, "cells/mine.zip", b"old")

    def replace() -> None:
        reserve_archive("cells", uri, store=store)
        put(store, "cells/mine.zip", b"new")
        new = {"uri": uri, "etag": list_archives("cells", store=store)[uri]}
        mark_seen("cells", [new], store=store)

    objects.before_mark.append(replace)
    assert found(store) == []
    assert not objects.before_mark


@pytest.mark.parametrize("watchers", [2, 6])
def test_concurrent_watchers_make_one_claim(store: ArtifactStore, watchers: int) -> None:
    """All watchers get the same list, so that the runs they start have the same name."""
    for number in range(5):
        put(store, f"cells/{number}.zip")
    with ThreadPoolExecutor(watchers) as pool:
        claims = list(pool.map(lambda _: claim_archives("cells", store=store), range(watchers)))
    assert len({str(claim) for claim in claims}) == 1
    with ThreadPoolExecutor(watchers) as pool:
        list(pool.map(lambda claim: mark_seen("cells", claim, store=store), claims))
    assert found(store) == []


def test_concurrent_marks_are_all_kept(store: ArtifactStore) -> None:
    """Six tasks that mark one archive each leave six seen archives."""
    for number in range(6):
        put(store, f"cells/{number}.zip")
    claimed = claim_archives("cells", store=store)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda archive: mark_seen("cells", [archive], store=store), claimed))
    assert found(store) == []
