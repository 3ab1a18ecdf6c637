"""The one pointer that says what is served, and the ledger of every place it pointed to."""

import json
from datetime import datetime

from pipeline.adapters.storage import ObjectStore
from pipeline.artifacts import Frozen
from pipeline.errors import ConflictError


class Pointer(Frozen):
    """`pointer/<name>/pointer.json`: changed only by compare-and-set."""

    sequence: int
    """Grows by one with each move, so that a return to an earlier model is noticed."""
    name: str
    tag: str
    served: str
    """URI of the served bundle."""
    evaluation: str
    """URI of the evaluation, which also holds the drift reference."""
    verdict: str
    author: str
    reason: str
    time: datetime


class Registry:
    """The pointer and ledger of one model name."""

    def __init__(self, objects: ObjectStore, root: str, name: str) -> None:
        self._objects = objects
        self._name = name
        self._root = f"{root.rstrip('/')}/pointer/{name}"

    def read(self) -> Pointer | None:
        """What is served now, or None before the first promotion."""
        found = self._read()
        return found[0] if found else None

    def move(self, to: Pointer, expected: Pointer | None) -> Pointer:
        """Point to `to` (its sequence is set here) if the pointer still is `expected`.

        Raises:
            ConflictError: when somebody moved it meanwhile; judge again before another try.
        """
        found = self._read()
        current = found[0] if found else None
        if current != expected:
            raise ConflictError(
                f"the pointer of {self._name} was moved",
                expected=_describe(expected),
                received=_describe(current),
            )
        moved = to.model_copy(update={"sequence": current.sequence + 1 if current else 1})
        if found is None:
            self._objects.write(self._uri, _body(moved), if_absent=True)
        else:
            # The entry being replaced must outlive a crash between pointer and ledger.
            self._record(found[0])
            self._objects.write(self._uri, _body(moved), if_match=found[1])
        self._record(moved)
        return moved

    def history(self) -> list[Pointer]:
        """Every place the pointer was, oldest first."""
        entries = {}
        for item in self._objects.list(f"{self._root}/ledger/"):
            entry = Pointer.model_validate_json(self._objects.read(item.uri))
            entries[entry.sequence] = entry
        current = self.read()
        if current is not None:
            entries[current.sequence] = current
        return [entries[sequence] for sequence in sorted(entries)]

    @property
    def _uri(self) -> str:
        return f"{self._root}/pointer.json"

    def _read(self) -> tuple[Pointer, str] | None:
        found = self._objects.read_tagged(self._uri)
        if found is None:
            return None
        return Pointer.model_validate_json(found[0]), found[1]

    def _record(self, entry: Pointer) -> None:
        uri = f"{self._root}/ledger/{entry.sequence:08d}.json"
        try:
            self._objects.write(uri, _body(entry), if_absent=True)
        except ConflictError:
            return  # written by an earlier, interrupted move


def _body(pointer: Pointer) -> bytes:
    return (json.dumps(pointer.model_dump(mode="json"), indent=2) + "\n").encode()


def _describe(pointer: Pointer | None) -> str:
    return f"{pointer.tag} (move {pointer.sequence})" if pointer else "no model"
