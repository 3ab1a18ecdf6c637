"""The pointer, moved by compare-and-set, and its ledger."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.adapters.pointer_store import Pointer, PointerStore, PromotionRefusal
from pipeline.adapters.storage import LocalStore
from pipeline.errors import ConflictError, InvalidInputError


def to(tag: str) -> Pointer:
    return Pointer(
        sequence=0,
        name="cells",
        tag=tag,
        served=f"served/{tag}",
        evaluation="",
        verdict="",
        author="test",
        reason="a test",
        time=datetime(2026, 11, 1, tzinfo=UTC),
    )


@pytest.fixture
def pointers(tmp_path: Path) -> PointerStore:
    """The pointer store of a name without a promotion."""
    return PointerStore(LocalStore(), str(tmp_path), "cells")


def test_before_the_first_promotion_there_is_no_pointer(pointers: PointerStore) -> None:
    """None and an empty history, not an error."""
    assert pointers.read() is None
    assert pointers.history() == []


def test_each_move_has_the_next_sequence_number(pointers: PointerStore) -> None:
    """A return to an earlier model has a sequence number of its own."""
    first = pointers.move(to("a"), None)
    second = pointers.move(to("b"), first)
    third = pointers.move(to("a"), second)
    assert [move.sequence for move in (first, second, third)] == [1, 2, 3]
    assert pointers.read() == third
    assert pointers.history() == [first, second, third]


def test_a_move_from_an_outdated_pointer_is_a_conflict(pointers: PointerStore) -> None:
    """The error has the expected and the current model, and nothing changes."""
    first = pointers.move(to("a"), None)
    second = pointers.move(to("b"), first)
    with pytest.raises(ConflictError, match=r"expected a \(move 1\); received b \(move 2\)"):
        pointers.move(to("c"), first)
    with pytest.raises(ConflictError, match="expected no model"):
        pointers.move(to("c"), None)
    assert pointers.history() == [first, second]


def test_a_return_to_an_earlier_model_is_a_change(pointers: PointerStore) -> None:
    """Moves from a to b and back to a are detected, though the model is the same."""
    first = pointers.move(to("a"), None)
    pointers.move(to("a"), pointers.move(to("b"), first))
    with pytest.raises(ConflictError):
        pointers.move(to("c"), first)


@pytest.mark.parametrize("moves", [1, 2])
def test_a_crash_between_pointer_and_ledger_loses_no_entry(
    pointers: PointerStore, tmp_path: Path, moves: int
) -> None:
    """The history is complete, and the next move writes the missing entry."""
    made = []
    for number in range(moves):
        made.append(pointers.move(to(str(number)), pointers.read()))
    entry = tmp_path / f"pointer/cells/ledger/{moves:08d}.json"
    entry.unlink()
    assert pointers.history() == made
    last = pointers.move(to("last"), made[-1])
    assert entry.is_file()
    assert pointers.history() == [*made, last]


def test_names_are_independent(pointers: PointerStore, tmp_path: Path) -> None:
    """A promotion of the demo never replaces a real model."""
    pointers.move(to("a"), None)
    assert PointerStore(LocalStore(), str(tmp_path), "cell").read() is None
    assert PointerStore(LocalStore(), str(tmp_path), "cell").history() == []


def test_twenty_concurrent_moves_are_all_recorded(pointers: PointerStore) -> None:
    """Each retries until it succeeds; the ledger has every move once."""

    def promote(number: int) -> Pointer:
        while True:
            try:
                return pointers.move(to(str(number)), pointers.read())
            except ConflictError:
                continue

    with ThreadPoolExecutor(20) as pool:
        moves = list(pool.map(promote, range(20)))
    history = pointers.history()
    assert [move.sequence for move in history] == list(range(1, 21))
    assert sorted(history, key=lambda move: int(move.tag)) == moves
    assert pointers.read() == history[-1]


class LosesResponses(LocalStore):
    """A store that performs every conditional write and then reports a conflict.

    A client sees this when it repeats a write whose response was lost.
    """

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        """Write, then report a conflict."""
        super().write(uri, data, if_match=if_match, if_absent=if_absent)
        raise ConflictError(f"{uri} was changed by another writer")


def test_a_lost_response_is_not_a_conflict(tmp_path: Path) -> None:
    """A move that is in the pointer succeeded, whatever the store reported."""
    pointers = PointerStore(LosesResponses(), str(tmp_path), "cells")
    first = pointers.move(to("a"), None)
    second = pointers.move(to("b"), first)
    assert pointers.history() == [first, second]


def test_settling_writes_a_missing_ledger_entry(pointers: PointerStore, tmp_path: Path) -> None:
    """Before the next move; without a missing entry nothing changes."""
    assert pointers.read_and_record() is None
    moved = pointers.move(to("a"), None)
    entry = tmp_path / "pointer/cells/ledger/00000001.json"
    entry.unlink()
    assert [pointers.read_and_record(), pointers.read_and_record()] == [moved, moved]
    assert Pointer.model_validate_json(entry.read_bytes()) == moved


def test_equal_refusals_are_recorded_once(pointers: PointerStore) -> None:
    """A retried task repeats its refusal; another author is another entry."""
    fields = {"verdict": "v", "tag": "cells:a", "reason": "blurred", "run_id": "run"}
    first, again, late = (
        PromotionRefusal(author=author, time=datetime(2026, 11, day, tzinfo=UTC), **fields)
        for author, day in (("ada", 2), ("ada", 3), ("approval timeout", 1))
    )
    assert (
        pointers.record_refusal(first)
        == pointers.record_refusal(again)
        != pointers.record_refusal(late)
    )
    assert pointers.refusals() == [late, first]
    assert pointers.history() == []


def test_another_models_pointer_shadow_and_refusal_are_refused(pointers: PointerStore) -> None:
    """The error has both names, and nothing is written."""
    demo = to("demo:1").model_copy(update={"name": "demo"})
    other = r"expected a model of cells; received a model of demo"
    with pytest.raises(InvalidInputError, match=other):
        pointers.move(demo, None)
    with pytest.raises(InvalidInputError, match=other):
        pointers.set_shadow(demo)
    when = datetime(2026, 11, 1, tzinfo=UTC)
    refusal = PromotionRefusal(
        verdict="v", tag="demo:1", author="a", reason="r", run_id="x", time=when
    )
    with pytest.raises(InvalidInputError, match=other):
        pointers.record_refusal(refusal)
    assert (pointers.read(), pointers.shadow(), pointers.refusals()) == (None, None, [])
