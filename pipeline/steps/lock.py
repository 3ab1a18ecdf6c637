"""The locked test part: images that no model of this name may ever be trained on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import canonical_json
from pipeline.errors import ArtifactError


@dataclass(frozen=True)
class LockedImages:
    """The images in the test part, as they stood when they were read."""

    archives: Mapping[str, str]
    """Hash of each image to the URI of an archive artefact that holds it; empty when unknown."""
    etag: str | None
    """None when nothing has been locked yet."""

    @property
    def images(self) -> frozenset[str]:
        """Their hashes."""
        return frozenset(self.archives)


def read_lock(name: str, store: ArtifactStore) -> LockedImages:
    """What is locked under a dataset's name.

    Raises:
        ArtifactError: when the lock cannot be read; it is never taken for an empty one.
    """
    uri = _uri(name, store)
    found = store.objects.read_tagged(uri)
    if found is None:
        return LockedImages({}, None)
    try:
        locked = json.loads(found[0])["test"]
        # Version 0.1 wrote a list of hashes.
        archives = dict.fromkeys(locked, "") if isinstance(locked, list) else dict(locked)
        return LockedImages(archives, found[1])
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{uri} is damaged", expected='{"test": {hash: archive}}', received=repr(error)
        ) from error


def extend_lock(
    name: str, lock: LockedImages, images: Mapping[str, str], store: ArtifactStore
) -> None:
    """Lock more images, given as hash to archive; the set only grows.

    Raises:
        ConflictError: when somebody extended the lock since it was read.
    """
    if images.keys() <= lock.archives.keys():
        return
    body = canonical_json({"test": {**images, **lock.archives}}).encode()
    if lock.etag is None:
        store.objects.write(_uri(name, store), body, if_absent=True)
    else:
        store.objects.write(_uri(name, store), body, if_match=lock.etag)


def _uri(name: str, store: ArtifactStore) -> str:
    return f"{store.root}/locks/{name}.json"
