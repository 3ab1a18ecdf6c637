"""Many images of one request, each in its own turn of the line."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from bento_service.http import errors
from bento_service.http.errors import Refusal
from bento_service.http.schemas import Classification, Failure
from bento_service.inference.work_queue import THREADS

PATIENCE = 60.0
"""Seconds for all of them."""
_AT_ONCE = THREADS
"""Images of one request in the line: it works at full speed, and those of others find places."""
_PAUSE = 0.1
Ask = Callable[[int, bytes], Awaitable[Classification]]


async def answer_all(images: Sequence[bytes], ask: Ask) -> list[Classification | Failure]:
    """Ask about every image; a full line is waited for, and a bad image costs itself alone.

    Args:
        images: as they were uploaded.
        ask: answers the image at an index.

    Raises:
        Refusal: 503 without a model, 504 when one or all of them took too long.
    """
    several = asyncio.Semaphore(_AT_ONCE)

    async def one(index: int, image: bytes) -> Classification | Failure:
        async with several:
            return await _answer(index, image, ask)

    tasks = [asyncio.ensure_future(one(index, image)) for index, image in enumerate(images)]
    try:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.gather(*tasks)
    except TimeoutError as error:
        raise errors.too_slow(PATIENCE) from error
    finally:
        for task in tasks:
            task.cancel()


async def _answer(index: int, image: bytes, ask: Ask) -> Classification | Failure:
    while True:
        try:
            return await ask(index, image)
        except Refusal as no:
            if no.status == HTTPStatus.UNPROCESSABLE_ENTITY:
                return Failure(index=index, code=no.detail.code, message=no.detail.message)
            if no.status != HTTPStatus.TOO_MANY_REQUESTS:
                raise
            await asyncio.sleep(_PAUSE)
