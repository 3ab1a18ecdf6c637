"""The lock only grows, and locks of every version are read."""

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.errors import ArtifactError
from pipeline.steps.cells.locked_images import LockedImage, extend_lock, read_lock


@pytest.mark.parametrize("body", [b"", b"[]", b'{"test": 5}'])
def test_a_damaged_lock_is_an_error(body: bytes, store: ArtifactStore) -> None:
    """An unreadable lock raises ArtifactError, since an empty lock would leak the test part."""
    store.objects.write(f"{store.root}/locks/cells.json", body)
    with pytest.raises(ArtifactError, match="is damaged"):
        read_lock("cells", store)


@pytest.mark.parametrize("body", [b'{"test": ["a", "b"]}', b'{"test": {"a": "uri", "b": ""}}'])
def test_locks_of_earlier_versions_are_read(body: bytes, store: ArtifactStore) -> None:
    """Images locked by versions without archives or labels are still locked."""
    store.objects.write(f"{store.root}/locks/cells.json", body)
    assert read_lock("cells", store).hashes == {"a", "b"}


def test_an_archives_label_replaces_a_returned_one(store: ArtifactStore) -> None:
    """A label of an archive is never replaced by a returned one; the lock only grows."""
    made = LockedImage(archive="a", label="ROUND", source="archive")
    returned = LockedImage(archive="r", label="LOBED", source="returned")

    def lock(entries: dict[str, LockedImage]) -> None:
        extend_lock("cells", lambda _: entries, store)

    for entry, kept in ((returned, returned), (made, made), (returned, made)):
        lock({"x": entry})
        assert read_lock("cells", store).by_hash == {"x": kept}
    lock({})
    assert read_lock("cells", store).hashes == {"x"}
