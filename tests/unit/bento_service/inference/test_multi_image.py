"""Classification of many images of one request."""

import asyncio

import pytest

from bento_service.http import errors
from bento_service.http.errors import HttpError
from bento_service.http.schemas import Classification, Failure
from bento_service.inference import multi_image
from bento_service.inference.multi_image import classify_all
from bento_service.inference.work_queue import THREADS
from pipeline.contract.cell_box import CellBox
from pipeline.errors import InvalidInputError


def classification(label: str) -> Classification:
    return Classification(
        label=label,
        probabilities={label: 1.0},
        decision="accept",
        reasons=(),
        uncertainty=0.0,
        cell=CellBox(left=0, top=0, side=9),
        cell_found=True,
        width=9,
        height=9,
        tag="cells:1",
        request_id="r",
    )


def test_results_are_in_the_order_of_the_images() -> None:
    """Whichever finishes first; a bad image fails alone."""

    async def classify(index: int, image: bytes) -> Classification:
        await asyncio.sleep(0.02 if index == 0 else 0)
        if image == b"bad":
            raise errors.from_pipeline_error(InvalidInputError("no image"))
        return classification(image.decode())

    results = asyncio.run(classify_all([b"ROUND", b"bad", b"LOBED"], classify))
    assert [one.index if isinstance(one, Failure) else one.label for one in results] == [
        "ROUND",
        1,
        "LOBED",
    ]


def test_a_full_queue_is_retried() -> None:
    """No image of a differential gets a 429."""
    calls: list[int] = []

    async def classify(index: int, image: bytes) -> Classification:
        calls.append(index)
        if calls.count(index) == 1:
            raise errors.busy()
        return classification("ROUND")

    results = asyncio.run(classify_all([b"", b"", b""], classify))
    assert [isinstance(one, Classification) for one in results] == [True] * 3
    assert sorted(calls) == [0, 0, 1, 1, 2, 2]


def test_without_a_model_the_request_fails() -> None:
    """An error other than a bad image fails the whole request."""

    async def classify(index: int, image: bytes) -> Classification:
        raise errors.no_model()

    with pytest.raises(HttpError) as error:
        asyncio.run(classify_all([b"", b""], classify))
    assert error.value.status == 503


def test_all_images_share_one_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then 504, and no further image is classified."""
    monkeypatch.setattr(multi_image, "TIMEOUT_S", 0.05)
    calls: list[int] = []

    async def classify(index: int, image: bytes) -> Classification:
        calls.append(index)
        await asyncio.sleep(1)
        return classification("ROUND")

    with pytest.raises(HttpError) as error:
        asyncio.run(classify_all([b""] * 5, classify))
    assert error.value.status == 504
    assert calls == list(range(THREADS))
