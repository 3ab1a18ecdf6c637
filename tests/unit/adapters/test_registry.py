"""The pointer, moved by compare-and-set, and its ledger."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.adapters.registry import Pointer, PromotionRefusal, Registry
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
def registry(tmp_path: Path) -> Registry:
    """The registry of a name without a promotion."""
    return Registry(LocalStore(), str(tmp_path), "cells")


def test_before_the_first_promotion_there_is_no_pointer(registry: Registry) -> None:
    """None and an empty history, not an error."""
    assert registry.read() is None
    assert registry.history() == []


def test_each_move_has_the_next_sequence_number(registry: Registry) -> None:
    """A return to an earlier model has a sequence number of its own."""
    first = registry.move(to("a"), None)
    second = registry.move(to("b"), first)
    third = registry.move(to("a"), second)
    assert [move.sequence for move in (first, second, third)] == [1, 2, 3]
    assert registry.read() == third
    assert registry.history() == [first, second, third]


def test_a_move_from_an_outdated_pointer_is_a_conflict(registry: Registry) -> None:
    """The error has the expected and the current model, and nothing changes."""
    first = registry.move(to("a"), None)
    second = registry.move(to("b"), first)
    with pytest.raises(ConflictError, match=r"expected a \(move 1\); received b \(move 2\)"):
        registry.move(to("c"), first)
    with pytest.raises(ConflictError, match="expected no model"):
        registry.move(to("c"), None)
    assert registry.history() == [first, second]


def test_a_return_to_an_earlier_model_is_a_change(registry: Registry) -> None:
    """Moves from a to b and back to a are detected, though the model is the same."""
    first = registry.move(to("a"), None)
    registry.move(to("a"), registry.move(to("b"), first))
    with pytest.raises(ConflictError):
        registry.move(to("c"), first)


@pytest.mark.parametrize("moves", [1, 2])
def test_a_crash_between_pointer_and_ledger_loses_no_entry(
    registry: Registry, tmp_path: Path, moves: int
) -> None:
    """The history is complete, and the next move writes the missing entry."""
    made = []
    for number in range(moves):
        made.append(registry.move(to(str(number)), registry.read()))
    entry = tmp_path / f"pointer/cells/ledger/{moves:08d}.json"
    entry.unlink()
    assert registry.history() == made
    last = registry.move(to("last"), made[-1])
    assert entry.is_file()
    assert registry.history() == [*made, last]


def test_names_are_independent(registry: Registry, tmp_path: Path) -> None:
    """A promotion of the demo never replaces a real model."""
    registry.move(to("a"), None)
    assert Registry(LocalStore(), str(tmp_path), "cell").read() is None
    assert Registry(LocalStore(), str(tmp_path), "cell").history() == []


def test_twenty_concurrent_moves_are_all_recorded(registry: Registry) -> None:
    """Each retries until it succeeds; the ledger has every move once."""

    def promote(number: int) -> Pointer:
        while True:
            try:
                return registry.move(to(str(number)), registry.read())
            except ConflictError:
                continue

    with ThreadPoolExecutor(20) as pool:
        moves = list(pool.map(promote, range(20)))
    history = registry.history()
    assert [move.sequence for move in history] == list(range(1, 21))
    assert sorted(history, key=lambda move: int(move.tag)) == moves
    assert registry.read() == history[-1]


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
    registry = Registry(LosesResponses(), str(tmp_path), "cells")
    first = registry.move(to("a"), None)
    second = registry.move(to("b"), first)
    assert registry.history() == [first, second]


def test_settling_writes_a_missing_ledger_entry(registry: Registry, tmp_path: Path) -> None:
    """Before the next move; without a missing entry nothing changes."""
    assert registry.settle() is None
    moved = registry.move(to("a"), None)
    entry = tmp_path / "pointer/cells/ledger/00000001.json"
    entry.unlink()
    assert [registry.settle(), registry.settle()] == [moved, moved]
    assert Pointer.model_validate_json(entry.read_bytes()) == moved


def test_equal_refusals_are_recorded_once(registry: Registry) -> None:
    """A retried task repeats its refusal; another author is another entry."""
    fields = {"verdict": "v", "tag": "cells:a", "reason": "blurred", "run_id": "run"}
    first, again, late = (
        PromotionRefusal(author=author, time=datetime(2026, 11, day, tzinfo=UTC), **fields)
        for author, day in (("ada", 2), ("ada", 3), ("approval timeout", 1))
    )
    assert (
        registry.record_refusal(first)
        == registry.record_refusal(again)
        != registry.record_refusal(late)
    )
    assert registry.refusals() == [late, first]
    assert registry.history() == []


def test_another_models_pointer_shadow_and_refusal_are_refused(registry: Registry) -> None:
    """The error has both names, and nothing is written."""
    demo = to("demo:1").model_copy(update={"name": "demo"})
    other = r"expected a model of cells; received a model of demo"
    with pytest.raises(InvalidInputError, match=other):
        registry.move(demo, None)
    with pytest.raises(InvalidInputError, match=other):
        registry.set_shadow(demo)
    when = datetime(2026, 11, 1, tzinfo=UTC)
    refusal = PromotionRefusal(
        verdict="v", tag="demo:1", author="a", reason="r", run_id="x", time=when
    )
    with pytest.raises(InvalidInputError, match=other):
        registry.record_refusal(refusal)
    assert (registry.read(), registry.shadow(), registry.refusals()) == (None, None, [])
