"""A JSON object that several processes change, by compare-and-set."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic_core import to_json

from pipeline.adapters.storage.protocol import ObjectStore
from pipeline.errors import ArtifactError, ConflictError

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 20
"""Writes that `update` tries. Of n writers one wins each round, so 20 at once all succeed."""

T = TypeVar("T")


def _to_json(value: object) -> bytes:
    return to_json(value, indent=2)


@dataclass(frozen=True)
class Document(Generic[T]):
    """A stored value that is written only if no other process changed it since it was read.

    The value carries a sequence number, or its change is idempotent: an object that returns to an
    earlier content has its earlier ETag again.
    """

    objects: ObjectStore
    uri: str
    load: Callable[[bytes], T]
    """Parses the object; for JSON, a model's `model_validate_json`."""
    initial: T
    """Value of an object that does not exist."""
    dump: Callable[[T], bytes] = _to_json
    """Serialises a value, by default as JSON."""

    def read(self) -> tuple[T, str | None]:
        """Value and ETag, or (`initial`, None) without an object; ArtifactError if damaged."""
        stored = self.objects.read_tagged(self.uri)
        if stored is None:
            return self.initial, None
        try:
            return self.load(stored[0]), stored[1]
        except (ValueError, LookupError, TypeError) as error:
            raise ArtifactError(f"{self.uri} is damaged", received=str(error)) from error

    def replace(self, value: T, etag: str | None) -> str:
        """Write a value, return its ETag; ConflictError unless `etag` is current (None: absent)."""
        data = self.dump(value)
        return self.objects.write(self.uri, data, if_match=etag, if_absent=etag is None)

    def update(self, change: Callable[[T], T]) -> tuple[T, T]:
        """Apply `change` to the stored value; if another writer interferes, again, up to 20 times.

        Args:
            change: pure: from the current value to the new one. Equal values are not written.

        Returns:
            The values before and after the change; equal if nothing was written.

        Raises:
            ConflictError: when `MAX_ATTEMPTS` writes lost.
        """
        for _ in range(MAX_ATTEMPTS):
            before, etag = self.read()
            after = change(before)
            if after == before:
                return before, after
            try:
                self.replace(after, etag)
            except ConflictError:
                log.info("%s was changed by another writer; trying again", self.uri)
                continue
            return before, after
        raise ConflictError(f"{self.uri} was changed by other writers {MAX_ATTEMPTS} times")
