"""The locked test part: images that no model of this name may ever be trained on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import canonical_json
from pipeline.errors import ArtifactError
from pipeline.records import Frozen, Record


class LockedImage(Frozen):
    """One image of the locked test part, as it stood when it was locked; empty is unknown."""

    archive: str = ""
    """URI of an archive artefact that holds it."""
    label: str = ""
    source: Literal["archive", "returned", ""] = ""
    """Who gave the label: an archive's maker, or a caller of the service (`POST /feedback`)."""
    group: str = ""
    """Group that the archive's maker named, if any: its later images are test images, too."""

    @classmethod
    def of(cls, record: Record) -> "LockedImage":
        """What the lock keeps of a record."""
        return cls(
            archive=record.archive,
            label=record.label,
            source="returned" if record.returned else "archive",
            group=record.named_group,
        )


@dataclass(frozen=True)
class LockedImages:
    """The images in the test part, as they stood when they were read."""

    by_hash: Mapping[str, LockedImage]
    etag: str | None
    """None when nothing has been locked yet."""

    @property
    def images(self) -> frozenset[str]:
        """Their hashes."""
        return frozenset(self.by_hash)

    @property
    def groups(self) -> frozenset[str]:
        """Groups of theirs that an archive's maker named."""
        return frozenset(image.group for image in self.by_hash.values() if image.group)


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
        entries = dict.fromkeys(locked, "") if isinstance(locked, list) else dict(locked)
        return LockedImages({sha: _image(entry) for sha, entry in entries.items()}, found[1])
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{uri} is damaged",
            expected='{"test": {hash: {"archive", "label", "source", "group"}}}',
            received=repr(error),
        ) from error


def extend_lock(
    name: str, lock: LockedImages, images: Mapping[str, LockedImage], store: ArtifactStore
) -> None:
    """Lock more images, by hash; the set only grows.

    What is known of a locked image stays, unless an earlier version noted no label or the label
    was a returned one and an archive's maker gives one now.

    Raises:
        ConflictError: when somebody extended the lock since it was read.
    """
    known = {sha256: image for sha256, image in lock.by_hash.items() if image.source == "archive"}
    merged = {**lock.by_hash, **images, **known}
    if merged == lock.by_hash:
        return
    entries = {sha256: image.model_dump(mode="json") for sha256, image in merged.items()}
    body = canonical_json({"test": entries}).encode()
    if lock.etag is None:
        store.objects.write(_uri(name, store), body, if_absent=True)
    else:
        store.objects.write(_uri(name, store), body, if_match=lock.etag)


def _image(entry: Any) -> LockedImage:
    """An entry as this version keeps it; the one before kept an archive's URI alone."""
    return LockedImage(archive=entry) if isinstance(entry, str) else LockedImage(**entry)


def _uri(name: str, store: ArtifactStore) -> str:
    return f"{store.root}/locks/{name}.json"
