"""The work queue rejects requests when full and times out slow work."""

import asyncio
import threading

import pytest

from bento_service.http.errors import HttpError
from bento_service.inference.work_queue import WorkQueue


def test_a_full_queue_rejects_with_retry_after() -> None:
    """One runs, one waits, the third is rejected with 429."""
    queue = WorkQueue(threads=1, slots=1, timeout_s=5)
    gate = threading.Event()

    async def requests() -> list[object]:
        assert not queue.full
        tasks = [asyncio.create_task(queue.run(gate.wait)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert queue.reject_if_full()
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    *served, rejected = asyncio.run(requests())
    assert served == [True, True]
    assert isinstance(rejected, HttpError)
    assert (rejected.status, rejected.headers) == (429, {"Retry-After": "1"})


def test_the_queue_is_short_under_sustained_overload(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst may fill all slots; after many rejections only the short queue is available."""
    monkeypatch.setattr("bento_service.inference.work_queue._OVERLOAD_WINDOW_S", 0.5)
    queue = WorkQueue(threads=1, slots=4, timeout_s=5, overload_slots=1)
    gates = [threading.Event() for _ in range(5)]

    async def requests() -> None:
        tasks = [asyncio.create_task(queue.run(gate.wait)) for gate in gates]
        await asyncio.sleep(0.05)
        assert [queue.reject_if_full() for _ in range(3)] == [True] * 3
        gates[0].set()
        await tasks[0]
        assert not queue.full, "three rejections are not yet sustained overload"
        tasks.append(asyncio.create_task(queue.run(gates[1].wait)))
        await asyncio.sleep(0.05)
        assert queue.reject_if_full()
        gates[1].set()
        await tasks[1]
        assert queue.full, "four of five are present, and the short queue takes two"
        await asyncio.sleep(0.55)
        assert not queue.full
        for gate in gates:
            gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(requests())
    queue.close()


def test_retries_do_not_count_as_overload() -> None:
    """Only rejections by `reject_if_full` count, not the retries of a differential."""
    queue = WorkQueue(threads=1, slots=2, timeout_s=5, overload_slots=0)
    gates = [threading.Event() for _ in range(3)]

    async def differential() -> None:
        tasks = [asyncio.create_task(queue.run(gate.wait)) for gate in gates]
        await asyncio.sleep(0.05)
        for _ in range(10):
            with pytest.raises(HttpError):
                await queue.run(lambda: None)
        gates[0].set()
        await tasks[0]
        assert not queue.full
        for gate in gates:
            gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(differential())
    queue.close()


def test_timed_out_work_keeps_its_slot_until_it_ends() -> None:
    """A 504 does not free a slot while the thread still works."""
    queue = WorkQueue(threads=1, slots=0, timeout_s=0.05)
    gate = threading.Event()

    async def time_out() -> tuple[int, int, bool]:
        with pytest.raises(HttpError) as slow:
            await queue.run(gate.wait)
        with pytest.raises(HttpError) as rejected:
            await queue.run(gate.wait)
        gate.set()
        await asyncio.sleep(0.05)
        return slow.value.status, rejected.value.status, await queue.run(gate.wait)

    assert asyncio.run(time_out()) == (504, 429, True)


def test_slots_are_released_and_no_thread_is_added() -> None:
    """Four timeouts on each of two threads leave two threads, and the queue recovers."""
    queue = WorkQueue(threads=2, slots=2, timeout_s=0.05)
    gate = threading.Event()

    async def time_out() -> list[int]:
        statuses = []
        for _ in range(4):
            tasks = [queue.run(gate.wait) for _ in range(2)]
            results = await asyncio.gather(*tasks, return_exceptions=True)
            statuses += [error.status for error in results if isinstance(error, HttpError)]
        return statuses

    def threads() -> set[threading.Thread]:
        return {one for one in threading.enumerate() if one.name.startswith("work_")}

    others = threads()
    assert asyncio.run(time_out()) == [504] * 8
    assert len(threads() - others) == 2
    gate.set()
    assert asyncio.run(queue.run(lambda: "back")) == "back"
    queue.close()
    for one in threads() - others:
        one.join(10)
    assert not threads() - others


def test_the_queue_stalls_only_when_all_threads_do() -> None:
    """One healthy thread is enough; the end of any work ends the stall."""
    queue = WorkQueue(threads=2, slots=2, timeout_s=0.05)
    gates = [threading.Event(), threading.Event()]

    async def hang(gate: threading.Event) -> None:
        with pytest.raises(HttpError):
            await queue.run(gate.wait)
        await asyncio.sleep(0.02)

    assert queue.stalled_s == 0
    asyncio.run(hang(gates[0]))
    assert queue.stalled_s == 0
    asyncio.run(hang(gates[1]))
    assert 0 < queue.stalled_s < 1
    gates[0].set()
    assert asyncio.run(queue.run(lambda: queue.stalled_s)) == 0
    gates[1].set()
    queue.close()


def test_work_is_concurrent_while_more_than_one_piece_runs() -> None:
    """A single piece is not concurrent; timed-out work still counts."""
    queue = WorkQueue(threads=2, slots=2, timeout_s=0.05)
    gate = threading.Event()

    async def time_out_one() -> None:
        with pytest.raises(HttpError):
            await queue.run(gate.wait)

    assert not queue.concurrent()
    assert not asyncio.run(queue.run(queue.concurrent))
    asyncio.run(time_out_one())
    assert asyncio.run(queue.run(queue.concurrent))
    gate.set()
    queue.close()
    assert not queue.concurrent()
