"""The line sheds what it cannot take and gives up what takes too long."""

import asyncio
import threading

import pytest

from bento_service.line import Line
from bento_service.refusal import Refusal


def test_a_full_line_sheds_with_retry_after() -> None:
    """One works, one waits, the third is turned away with 429."""
    line = Line(threads=1, waiting=1, patience=5)
    gate = threading.Event()

    async def crowd() -> list[object]:
        tasks = [asyncio.create_task(line.run(gate.wait)) for _ in range(3)]
        await asyncio.sleep(0.05)
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    *served, shed = asyncio.run(crowd())
    assert served == [True, True]
    assert isinstance(shed, Refusal)
    assert (shed.status, shed.headers) == (429, {"Retry-After": "1"})


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
