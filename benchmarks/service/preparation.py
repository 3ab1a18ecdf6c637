"""Locating and cropping the cell, against decoding the same drawn photograph."""

from collections.abc import Callable

from benchmarks.images import CAMERA, drawn_jpeg, resize_jpeg
from benchmarks.measure import Row, mean_row, milliseconds
from pipeline.contract.decoding import decode
from pipeline.contract.locating import locate_nucleus
from pipeline.contract.model_contract import ModelContract
from pipeline.contract.preprocessing import crop, crop_box

CONTRACT = ModelContract(name="bench", classes=("A", "B"), crop_share=0.41, crop_margin=1.4)
SIZES = {"320x240": ((320, 240), 60), "12-megapixel": (CAMERA, 6)}
"""Name to size and number of rounds."""


def rows() -> list[Row]:
    """Milliseconds to locate and to crop the cell, for each size of photograph."""
    image = drawn_jpeg()
    return [
        row
        for name, (size, rounds) in SIZES.items()
        for row in _rows(resize_jpeg(image, size), name, rounds)
    ]


def _rows(data: bytes, name: str, rounds: int) -> list[Row]:
    """Milliseconds to locate and to crop the cell of one image."""
    image = decode(data)
    nucleus = locate_nucleus(image)
    assert nucleus is not None, "the drawn cell is found at every size"
    box = crop_box(nucleus, image, CONTRACT)
    decoding = milliseconds(lambda: decode(data), rounds).mean()
    baseline = f"decoding, {decoding:.1f} ms"
    works: dict[str, Callable[[], object]] = {
        "locate the cell": lambda: locate_nucleus(image),
        "crop and resize": lambda: crop(image, box, CONTRACT.input_size),
    }
    return [
        mean_row(f"{work}, {name} JPEG", milliseconds(run, rounds), "ms", baseline)
        for work, run in works.items()
    ]
