"""Locked images: test images of a dataset, on which no model of its name is ever trained."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import Document
from pipeline.digests import canonical_json
from pipeline.records import Frozen, Record


class LockedImage(Frozen):
    """One locked image, as recorded when it was locked; an empty field is unknown."""

    archive: str = ""
    """URI of an archive artefact that contains the image."""
    label: str = ""
    source: Literal["archive", "returned", ""] = ""
    """Origin of the label: the archive, or `POST /feedback` of the service."""
    group: str = ""
    """Group named in the archive, if any; later images of the group are test images, too."""

    @classmethod
    def of(cls, record: Record) -> "LockedImage":
        """Entry for a record: its archive, label, origin of the label, and named group."""
        return cls(
            archive=record.archive,
            label=record.label,
            source="returned" if record.returned else "archive",
            group=record.named_group,
        )


class LockedImages(Frozen):
    """`locks/<name>.json`: the images in the test part, by hash."""

    by_hash: dict[str, LockedImage] = Field(default_factory=dict, alias="test")

    @field_validator("by_hash", mode="before")
    @classmethod
    def _read_version_0_1(cls, locked: Any) -> Any:
        """Read version 0.1, which wrote a list of hashes, later an archive's URI for each hash."""
        entries = dict.fromkeys(locked, "") if isinstance(locked, list) else locked
        if not isinstance(entries, dict):
            return entries
        return {
            sha256: {"archive": entry} if isinstance(entry, str) else entry
            for sha256, entry in entries.items()
        }

    @property
    def hashes(self) -> frozenset[str]:
        """Hashes of the locked images."""
        return frozenset(self.by_hash)

    @property
    def groups(self) -> frozenset[str]:
        """Named groups of the locked images."""
        return frozenset(image.group for image in self.by_hash.values() if image.group)

    def extended(self, images: Mapping[str, LockedImage]) -> "LockedImages":
        """A copy with these images added; no image is ever removed.

        The entry of a locked image stays, unless it has no label or a returned one: then an entry
        with an archive's label replaces it.
        """
        fixed = {sha: image for sha, image in self.by_hash.items() if image.source == "archive"}
        return LockedImages(test={**self.by_hash, **images, **fixed})


def read_lock(name: str, store: ArtifactStore) -> LockedImages:
    """Read a dataset's locked images; empty before the first split, ArtifactError if damaged."""
    return _document(name, store).read()[0]


def extend_lock(
    name: str, images: Callable[[LockedImages], Mapping[str, LockedImage]], store: ArtifactStore
) -> LockedImages:
    """Add images to the stored lock, retrying after conflicts; returns the lock from before.

    Args:
        name: the dataset's name.
        images: pure: the images to lock, from the current lock; called again when another run
            extended the lock.
        store: where the lock is.

    Raises:
        ConflictError: when other runs keep extending the lock.
    """
    before, _ = _document(name, store).update(lambda lock: lock.extended(images(lock)))
    return before


def _document(name: str, store: ArtifactStore) -> Document[LockedImages]:
    uri = f"{store.root}/locks/{name}.json"
    return Document(store.objects, uri, LockedImages.model_validate_json, LockedImages(), _dump)


def _dump(lock: LockedImages) -> bytes:
    return canonical_json(lock.model_dump(mode="json", by_alias=True)).encode()
