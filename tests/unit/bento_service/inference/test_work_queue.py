"""The line sheds what it cannot take and gives up what takes too long."""

import asyncio
import threading

import pytest

from bento_service.http.errors import Refusal
from bento_service.inference.work_queue import Line


def test_a_full_line_sheds_with_retry_after() -> None:
    """One works, one waits, the third is turned away with 429."""
    line = Line(threads=1, waiting=1, patience=5)
    gate = threading.Event()

    async def crowd() -> list[object]:
        assert not line.full
        tasks = [asyncio.create_task(line.run(gate.wait)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert line.turns_away()
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    *served, shed = asyncio.run(crowd())
    assert served == [True, True]
    assert isinstance(shed, Refusal)
    assert (shed.status, shed.headers) == (429, {"Retry-After": "1"})


def test_a_line_is_kept_short_while_a_crowd_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst fills all places; while many are turned away, few of them are given."""
    monkeypatch.setattr("bento_service.inference.work_queue._STAYS_SECONDS", 0.5)
    line = Line(threads=1, waiting=4, patience=5, waiting_in_crowd=1)
    gates = [threading.Event() for _ in range(5)]

    async def crowd() -> None:
        tasks = [asyncio.create_task(line.run(gate.wait)) for gate in gates]
        await asyncio.sleep(0.05)
        assert [line.turns_away() for _ in range(3)] == [True] * 3
        gates[0].set()
        await tasks[0]
        assert not line.full, "three are as many as a longer line would have let in"
        tasks.append(asyncio.create_task(line.run(gates[1].wait)))
        await asyncio.sleep(0.05)
        assert line.turns_away()
        gates[1].set()
        await tasks[1]
        assert line.full, "four of the five are there, and now two are enough"
        await asyncio.sleep(0.55)
        assert not line.full
        for gate in gates:
            gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(crowd())
    line.close()


def test_who_tries_again_by_itself_makes_no_crowd() -> None:
    """Only callers who were told to come back later count, not the images of a differential."""
    line = Line(threads=1, waiting=2, patience=5, waiting_in_crowd=0)
    gates = [threading.Event() for _ in range(3)]

    async def differential() -> None:
        tasks = [asyncio.create_task(line.run(gate.wait)) for gate in gates]
        await asyncio.sleep(0.05)
        for _ in range(10):
            with pytest.raises(Refusal):
                await line.run(lambda: None)
        gates[0].set()
        await tasks[0]
        assert not line.full
        for gate in gates:
            gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(differential())
    line.close()


def test_work_that_was_given_up_keeps_its_place_until_it_ends() -> None:
    """A 504 does not make room for more than the threads can do."""
    line = Line(threads=1, waiting=0, patience=0.05)
    gate = threading.Event()

    async def impatient() -> tuple[int, int, bool]:
        with pytest.raises(Refusal) as slow:
            await line.run(gate.wait)
        with pytest.raises(Refusal) as shed:
            await line.run(gate.wait)
        gate.set()
        await asyncio.sleep(0.05)
        return slow.value.status, shed.value.status, await line.run(gate.wait)

    assert asyncio.run(impatient()) == (504, 429, True)


def test_a_slot_returns_when_its_thread_ends_and_no_thread_is_added() -> None:
    """Two of two threads are given up four times over; the line has two threads, and recovers."""
    line = Line(threads=2, waiting=2, patience=0.05)
    gate = threading.Event()

    async def impatient() -> list[int]:
        statuses = []
        for _ in range(4):
            tasks = [line.run(gate.wait) for _ in range(2)]
            told = await asyncio.gather(*tasks, return_exceptions=True)
            statuses += [no.status for no in told if isinstance(no, Refusal)]
        return statuses

    def threads() -> set[threading.Thread]:
        return {one for one in threading.enumerate() if one.name.startswith("line_")}

    others = threads()
    assert asyncio.run(impatient()) == [504] * 8
    assert len(threads() - others) == 2
    gate.set()
    assert asyncio.run(line.run(lambda: "back")) == "back"
    line.close()
    for one in threads() - others:
        one.join(10)
    assert not threads() - others


def test_a_line_hangs_when_all_of_its_threads_do() -> None:
    """One free thread is enough not to hang, and the end of any work ends the hanging."""
    line = Line(threads=2, waiting=2, patience=0.05)
    gates = [threading.Event(), threading.Event()]

    async def hang(gate: threading.Event) -> None:
        with pytest.raises(Refusal):
            await line.run(gate.wait)
        await asyncio.sleep(0.02)

    assert line.hung == 0
    asyncio.run(hang(gates[0]))
    assert line.hung == 0
    asyncio.run(hang(gates[1]))
    assert 0 < line.hung < 1
    gates[0].set()
    assert asyncio.run(line.run(lambda: line.hung)) == 0
    gates[1].set()
    line.close()


def test_a_line_is_crowded_while_more_than_one_piece_of_work_is_under_way() -> None:
    """Whoever works alone sees nobody; what was given up still counts."""
    line = Line(threads=2, waiting=2, patience=0.05)
    gate = threading.Event()

    async def give_up_one() -> None:
        with pytest.raises(Refusal):
            await line.run(gate.wait)

    assert not line.crowded()
    assert not asyncio.run(line.run(line.crowded))
    asyncio.run(give_up_one())
    assert asyncio.run(line.run(line.crowded))
    gate.set()
    line.close()
    assert not line.crowded()
