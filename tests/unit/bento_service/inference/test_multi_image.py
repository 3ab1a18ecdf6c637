"""Many images of one request, each in its own turn."""

import asyncio

import pytest

from bento_service.http import errors
from bento_service.http.errors import Refusal
from bento_service.http.schemas import Classification, Failure
from bento_service.inference import multi_image
from bento_service.inference.multi_image import answer_all
from bento_service.inference.work_queue import THREADS
from pipeline.contract.box import CellBox
from pipeline.errors import InvalidInputError


def answer(label: str) -> Classification:
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


def test_answers_stand_in_the_order_of_the_images() -> None:
    """Whichever is answered first, and a bad image costs itself alone."""

    async def ask(index: int, image: bytes) -> Classification:
        await asyncio.sleep(0.02 if index == 0 else 0)
        if image == b"bad":
            raise errors.of_pipeline_error(InvalidInputError("no image"))
        return answer(image.decode())

    told = asyncio.run(answer_all([b"ROUND", b"bad", b"LOBED"], ask))
    assert [one.index if isinstance(one, Failure) else one.label for one in told] == [
        "ROUND",
        1,
        "LOBED",
    ]


def test_a_full_line_is_waited_for() -> None:
    """What others fill empties again: no image of a differential is told 429."""
    asked: list[int] = []

    async def ask(index: int, image: bytes) -> Classification:
        asked.append(index)
        if asked.count(index) == 1:
            raise errors.busy()
        return answer("ROUND")

    told = asyncio.run(answer_all([b"", b"", b""], ask))
    assert [isinstance(one, Classification) for one in told] == [True] * 3
    assert sorted(asked) == [0, 0, 1, 1, 2, 2]


def test_without_a_model_nothing_is_counted() -> None:
    """What is no image's fault is the whole request's answer."""

    async def ask(index: int, image: bytes) -> Classification:
        raise errors.no_model()

    with pytest.raises(Refusal) as refused:
        asyncio.run(answer_all([b"", b""], ask))
    assert refused.value.status == 503


def test_all_of_them_have_one_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then 504, and no image is asked about any more."""
    monkeypatch.setattr(multi_image, "PATIENCE", 0.05)
    asked: list[int] = []

    async def ask(index: int, image: bytes) -> Classification:
        asked.append(index)
        await asyncio.sleep(1)
        return answer("ROUND")

    with pytest.raises(Refusal) as refused:
        asyncio.run(answer_all([b""] * 5, ask))
    assert refused.value.status == 504
    assert asked == list(range(THREADS))
