"""What finding and cutting the cell costs, beside decoding the same photograph.

The photographs are drawn, at the sizes of a microscope's thumbnail and of its camera.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks.measure import Row, milliseconds
from pipeline.contract.decoding import decode
from pipeline.contract.locating import locate
from pipeline.contract.preprocessing import crop, frame
from pipeline.contract.spec import ModelContract
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import HOME

CONTRACT = ModelContract(name="bench", classes=("A", "B"), crop_share=0.41, crop_margin=1.4)
SIZES = {"320x240": ((320, 240), 60), "12-megapixel": ((4000, 3000), 6)}
"""Width and height, and how often each is measured."""


def rows() -> list[Row]:
    """Milliseconds to locate and to cut, for each size of photograph."""
    ((_, drawn),) = draw_images(1, 1, HOME)
    return [row for name, size in SIZES.items() for row in _rows(drawn, name, *size)]


def _rows(drawn: bytes, name: str, size: tuple[int, int], rounds: int) -> list[Row]:
    out = io.BytesIO()
    Image.open(io.BytesIO(drawn)).resize(size, Image.Resampling.BICUBIC).save(out, "JPEG")
    data = out.getvalue()
    image = decode(data)
    nucleus = locate(image)
    assert nucleus is not None, "the drawn cell is found at every size"
    box = frame(nucleus, image, CONTRACT)
    decoding = milliseconds(lambda: decode(data), rounds).mean()
    against = f"decoding it, {decoding:.1f} ms"
    works: dict[str, Callable[[], object]] = {
        "locate the cell": lambda: locate(image),
        "cut and resize the crop": lambda: crop(image, box, CONTRACT.input_size),
    }
    return [
        _row(f"{work}, {name} JPEG", milliseconds(run, rounds), against)
        for work, run in works.items()
    ]


def _row(name: str, taken: np.ndarray, against: str) -> Row:
    mean, error = taken.mean(), 1.96 * taken.std(ddof=1) / np.sqrt(len(taken))
    return Row(
        name=name,
        value=float(mean),
        low=float(mean - error),
        high=float(mean + error),
        unit="ms",
        baseline=against,
    )
