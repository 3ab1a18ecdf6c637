"""Classification of many images of one request, each with its own slot in the work queue."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from bento_service.http import errors
from bento_service.http.errors import HttpError
from bento_service.http.schemas import Classification, Failure
from bento_service.inference.work_queue import THREADS

TIMEOUT_S = 60.0
"""For all images together."""
_MAX_CONCURRENT = THREADS
"""Images of one request in the queue: full speed, with slots left for other requests."""
_RETRY_DELAY_S = 0.1
Classify = Callable[[int, bytes], Awaitable[Classification]]


async def classify_all(
    images: Sequence[bytes], classify: Classify
) -> list[Classification | Failure]:
    """Classify images concurrently, up to 60 s; a full queue is retried, a bad image is a Failure.

    Args:
        images: files as uploaded.
        classify: classifies one image, given its index and bytes.

    Raises:
        HttpError: 503 without a model, 504 when one image or all of them took too long.
    """
    semaphore = asyncio.Semaphore(_MAX_CONCURRENT)

    async def limited(index: int, image: bytes) -> Classification | Failure:
        async with semaphore:
            return await _classify_one(index, image, classify)

    tasks = [asyncio.ensure_future(limited(index, image)) for index, image in enumerate(images)]
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await asyncio.gather(*tasks)
    except TimeoutError as error:
        raise errors.timed_out(TIMEOUT_S) from error
    finally:
        for task in tasks:
            task.cancel()


async def _classify_one(index: int, image: bytes, classify: Classify) -> Classification | Failure:
    """Classify one image: retries 429 without limit, 422 is a Failure, other errors are raised."""
    while True:
        try:
            return await classify(index, image)
        except HttpError as error:
            if error.status == HTTPStatus.UNPROCESSABLE_ENTITY:
                return Failure(index=index, code=error.detail.code, message=error.detail.message)
            if error.status != HTTPStatus.TOO_MANY_REQUESTS:
                raise
            await asyncio.sleep(_RETRY_DELAY_S)
