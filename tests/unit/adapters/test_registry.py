"""One pointer, moved by compare-and-set, and its ledger."""

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
    """The registry of a name that never served a model."""
    return Registry(LocalStore(), str(tmp_path), "cells")


def test_before_the_first_promotion_there_is_nothing(registry: Registry) -> None:
    """No model is an answer, not an error."""
    assert registry.read() is None
    assert registry.history() == []


def test_each_move_counts_one_further(registry: Registry) -> None:
    """A return to an earlier model has a sequence number of its own."""
    first = registry.move(to("a"), None)
    second = registry.move(to("b"), first)
    third = registry.move(to("a"), second)
    assert [move.sequence for move in (first, second, third)] == [1, 2, 3]
    assert registry.read() == third
    assert registry.history() == [first, second, third]


def test_a_pointer_that_was_moved_meanwhile_is_not_moved(registry: Registry) -> None:
    """The loser learns who was expected and who serves, and nothing changes."""
    first = registry.move(to("a"), None)
    second = registry.move(to("b"), first)
    with pytest.raises(ConflictError, match=r"expected a \(move 1\); received b \(move 2\)"):
        registry.move(to("c"), first)
    with pytest.raises(ConflictError, match="expected no model"):
        registry.move(to("c"), None)
    assert registry.history() == [first, second]


def test_a_return_in_between_is_noticed(registry: Registry) -> None:
    """From a to b and back to a is not where it was, though the model is the same."""
    first = registry.move(to("a"), None)
    registry.move(to("a"), registry.move(to("b"), first))
    with pytest.raises(ConflictError):
        registry.move(to("c"), first)


@pytest.mark.parametrize("moves", [1, 2])
def test_a_crash_between_pointer_and_ledger_loses_no_entry(
    registry: Registry, tmp_path: Path, moves: int
) -> None:
    """The history is whole at once, and the next move writes the missing entry."""
    made = []
    for number in range(moves):
        made.append(registry.move(to(str(number)), registry.read()))
    entry = tmp_path / f"pointer/cells/ledger/{moves:08d}.json"
    entry.unlink()
    assert registry.history() == made
    last = registry.move(to("last"), made[-1])
    assert entry.is_file()
    assert registry.history() == [*made, last]


def test_names_do_not_see_each_other(registry: Registry, tmp_path: Path) -> None:
    """What the demo promotes never dethrones a real model."""
    registry.move(to("a"), None)
    assert Registry(LocalStore(), str(tmp_path), "cell").read() is None
    assert Registry(LocalStore(), str(tmp_path), "cell").history() == []


def test_of_twenty_at_once_no_move_is_lost(registry: Registry) -> None:
    """Each tries until it wins; the ledger holds every one of them, once."""

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


class LosesAnswers(LocalStore):
    """A store that does every conditional write and then says that it lost the race for it.

    That is what a client sees that repeats a write whose answer did not reach it.
    """

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        """Write, and say the opposite."""
        super().write(uri, data, if_match=if_match, if_absent=if_absent)
        raise ConflictError(f"{uri} was changed by another writer")


def test_a_lost_answer_is_no_lost_race(tmp_path: Path) -> None:
    """Who finds its own move in the pointer has won, whatever the store answered."""
    registry = Registry(LosesAnswers(), str(tmp_path), "cells")
    first = registry.move(to("a"), None)
    second = registry.move(to("b"), first)
    assert registry.history() == [first, second]


def test_settling_writes_the_entry_that_a_crash_left_out(
    registry: Registry, tmp_path: Path
) -> None:
    """Without waiting for the next move, and nothing changes where nothing is missing."""
    assert registry.settle() is None
    moved = registry.move(to("a"), None)
    entry = tmp_path / "pointer/cells/ledger/00000001.json"
    entry.unlink()
    assert [registry.settle(), registry.settle()] == [moved, moved]
    assert Pointer.model_validate_json(entry.read_bytes()) == moved


def test_every_refusal_is_kept_once(registry: Registry) -> None:
    """A retried task repeats itself; another person, or another time, is another entry."""
    said = {"verdict": "v", "tag": "cells:a", "reason": "blurred", "run_id": "run"}
    first, again, late = (
        PromotionRefusal(author=author, time=datetime(2026, 11, day, tzinfo=UTC), **said)
        for author, day in (("ada", 2), ("ada", 3), ("nobody in time", 1))
    )
    assert registry.refuse(first) == registry.refuse(again) != registry.refuse(late)
    assert registry.refusals() == [late, first]
    assert registry.history() == []


def test_another_models_pointer_shadow_or_refusal_is_not_taken(registry: Registry) -> None:
    """Whoever mixes up two names gets an error with both, and nothing is written."""
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
        registry.refuse(refusal)
    assert (registry.read(), registry.shadow(), registry.refusals()) == (None, None, [])
