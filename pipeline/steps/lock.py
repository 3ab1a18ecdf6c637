"""The locked test part: images that no model of this name may ever be trained on."""

import json
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import canonical_json
from pipeline.errors import ArtifactError


@dataclass(frozen=True)
class LockedImages:
    """Hashes of images in the test part, as they stood when they were read."""

    images: frozenset[str]
    etag: str | None
    """None when nothing has been locked yet."""


def read_lock(name: str, store: ArtifactStore) -> LockedImages:
    """What is locked under a dataset's name.

    Raises:
        ArtifactError: when the lock cannot be read; it is never taken for an empty one.
    """
    uri = _uri(name, store)
    found = store.objects.read_tagged(uri)
    if found is None:
        return LockedImages(frozenset(), None)
    try:
        return LockedImages(frozenset(json.loads(found[0])["test"]), found[1])
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{uri} is damaged", expected='{"test": [hashes]}', received=repr(error)
        ) from error


def extend_lock(
    name: str, lock: LockedImages, images: AbstractSet[str], store: ArtifactStore
) -> None:
    """Lock more images; the set only grows.

    Raises:
        ConflictError: when somebody extended the lock since it was read.
    """
    if images <= lock.images:
        return
    body = canonical_json({"test": sorted(lock.images | images)}).encode()
    if lock.etag is None:
        store.objects.write(_uri(name, store), body, if_absent=True)
    else:
        store.objects.write(_uri(name, store), body, if_match=lock.etag)


def _uri(name: str, store: ArtifactStore) -> str:
    return f"{store.root}/locks/{name}.json"
