"""The pointer to the served model, the ledger of its changes, and refused promotions."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json

from pipeline.adapters.storage import Document, ObjectStore
from pipeline.artifacts import model_name
from pipeline.digests import sha256_bytes
from pipeline.errors import ConflictError, InvalidInputError
from pipeline.records import Frozen


class Pointer(Frozen):
    """Which model is served, and who decided so: `pointer/<name>/pointer.json`, a ledger entry."""

    sequence: int
    """Grows by one with each move, so that a return to an earlier model is a change."""
    name: str
    tag: str
    served: str
    """URI of the served bundle."""
    evaluation: str
    """URI of the evaluation, which includes the drift reference."""
    verdict: str
    author: str
    reason: str
    time: datetime
    kind: Literal["promotion", "rollback"] = "promotion"
    run_id: str = ""


_SHADOW = TypeAdapter[Pointer | None](Pointer | None)


class PromotionRefusal(Frozen):
    """Who refused to promote a model, and why: `pointer/<name>/refusals/<digest>.json`.

    The author is a person, the timeout of the approval step, or the gate.
    """

    verdict: str
    tag: str
    author: str
    reason: str
    run_id: str
    time: datetime


class PointerStore:
    """Reads and writes pointer, ledger, refusals and shadow challenger of one model name."""

    def __init__(self, objects: ObjectStore, root: str, name: str) -> None:
        self._objects = objects
        self.name = name
        folder = f"{root.rstrip('/')}/pointer/{name}"
        self._ledger, self._refusals = f"{folder}/ledger/", f"{folder}/refusals/"
        self._document = Document[Pointer | None](
            objects, f"{folder}/pointer.json", Pointer.model_validate_json, None, _to_json
        )
        self._shadow = Document[Pointer | None](
            objects, f"{folder}/shadow.json", _SHADOW.validate_json, None, _to_json
        )

    def read(self) -> Pointer | None:
        """The pointer to the served model; None before the first promotion.

        Raises:
            ArtifactError: when the object is not a pointer.
        """
        return self._document.read()[0]

    def move(self, to: Pointer, expected: Pointer | None) -> Pointer:
        """Replace the pointer if it still equals `expected`, and write the ledger entry.

        Raises:
            InvalidInputError: when `to` is a model of another name.
            ConflictError: when the pointer moved meanwhile; judge again before a retry.
        """
        self._require_own(to.name, to.tag)
        current, etag = self._document.read()
        if current != expected:
            raise ConflictError(
                f"the pointer of {self.name} changed since it was read; try again",
                expected=_describe(expected),
                received=_describe(current),
            )
        moved = to.model_copy(update={"sequence": current.sequence + 1 if current else 1})
        if current is not None:
            # Written again, in case a crash between pointer and ledger lost the entry.
            self._record(current)
        self._replace(moved, etag)
        self._record(moved)
        return moved

    def read_and_record(self) -> Pointer | None:
        """Read the pointer, and write its ledger entry if a crash prevented that."""
        current = self.read()
        if current is not None:
            self._record(current)
        return current

    def history(self) -> list[Pointer]:
        """Every pointer so far, oldest first; the last one is the current pointer."""
        # Read the pointer first: earlier moves were recorded before it was written.
        current = self.read()
        if current is None:
            return []
        entries = map(Pointer.model_validate_json, self._read_all(self._ledger))
        return [*(entry for entry in entries if entry.sequence < current.sequence), current]

    def record_refusal(self, refusal: PromotionRefusal) -> str:
        """Store a refusal, unless an equal one is stored, and return its URI.

        Raises:
            InvalidInputError: when the refused model has another name.
        """
        self._require_own(model_name(refusal.tag), refusal.tag)
        content = refusal.model_dump_json(exclude={"time"})
        uri = f"{self._refusals}{sha256_bytes(content.encode())[:24]}.json"
        self._write_once(uri, refusal)
        return uri

    def refusals(self) -> list[PromotionRefusal]:
        """Every refusal, oldest first."""
        entries = map(PromotionRefusal.model_validate_json, self._read_all(self._refusals))
        return sorted(entries, key=lambda entry: entry.time)

    def shadow(self) -> Pointer | None:
        """The shadow challenger, whose predictions are not returned to clients; None if unset."""
        return self._shadow.read()[0]

    def set_shadow(self, to: Pointer | None) -> None:
        """Set the shadow challenger, or clear it with None; the last write wins.

        Raises:
            InvalidInputError: when the challenger has another name.
        """
        if to is not None:
            self._require_own(to.name, to.tag)
        self._objects.write(self._shadow.uri, _to_json(to))

    def _read_all(self, prefix: str) -> list[bytes]:
        """Contents of all objects below a prefix, in order of their URIs."""
        return [self._objects.read(item.uri) for item in self._objects.list(prefix)]

    def _require_own(self, name: str, tag: str) -> None:
        """Raise InvalidInputError if a model has another name than this store."""
        if name != self.name:
            raise InvalidInputError(
                f"{tag} is another model; the pointer of {self.name} is unchanged",
                expected=f"a model of {self.name}",
                received=f"a model of {name}" if name else "a tag without a model name",
            )

    def _replace(self, moved: Pointer, etag: str | None) -> None:
        """Write the pointer; ConflictError only if another writer was first."""
        try:
            self._document.replace(moved, etag)
        except ConflictError:
            # A client that lost the response repeats the write, and then conflicts with itself.
            if moved not in self.history():
                raise

    def _record(self, entry: Pointer) -> None:
        """Write a pointer to the ledger, unless it is there."""
        self._write_once(f"{self._ledger}{entry.sequence:08d}.json", entry)

    def _write_once(self, uri: str, entry: BaseModel) -> None:
        """Write an object; one that exists stays as it is, without an error."""
        try:
            self._objects.write(uri, _to_json(entry), if_absent=True)
        except ConflictError:
            return  # written by an earlier, interrupted attempt


def _to_json(entry: BaseModel | None) -> bytes:
    return to_json(entry, indent=2) + b"\n"


def _describe(pointer: Pointer | None) -> str:
    return f"{pointer.tag} (move {pointer.sequence})" if pointer else "no model"
