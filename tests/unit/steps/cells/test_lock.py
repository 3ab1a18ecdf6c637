"""The lock of the test part: it only grows, and locks of every version are read."""

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.errors import ArtifactError
from pipeline.steps.cells.lock import LockedImage, extend_lock, read_lock


@pytest.mark.parametrize("body", [b"", b"[]", b'{"test": 5}'])
def test_damaged_lock_is_never_taken_for_an_empty_one(body: bytes, store: ArtifactStore) -> None:
    """A lock that cannot be read stops the run: forgetting it would leak the test part."""
    store.objects.write(f"{store.root}/locks/cells.json", body)
    with pytest.raises(ArtifactError, match="is damaged"):
        read_lock("cells", store)


@pytest.mark.parametrize("body", [b'{"test": ["a", "b"]}', b'{"test": {"a": "uri", "b": ""}}'])
def test_locks_of_earlier_versions_are_read(body: bytes, store: ArtifactStore) -> None:
    """Hashes that were locked before archives, then labels, were noted are still locked."""
    store.objects.write(f"{store.root}/locks/cells.json", body)
    assert read_lock("cells", store).images == {"a", "b"}


def test_an_archives_label_takes_the_place_of_a_returned_one(store: ArtifactStore) -> None:
    """The lock keeps an archive's label whatever is returned later, and only grows."""
    made = LockedImage(archive="a", label="ROUND", source="archive")
    returned = LockedImage(archive="r", label="LOBED", source="returned")

    def lock(entries: dict[str, LockedImage]) -> None:
        extend_lock("cells", lambda _: entries, store)

    for entry, kept in ((returned, returned), (made, made), (returned, made)):
        lock({"x": entry})
        assert read_lock("cells", store).by_hash == {"x": kept}
    lock({})
    assert read_lock("cells", store).images == {"x"}
