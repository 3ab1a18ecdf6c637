"""Where an image's time goes: decoding, finding the cell, cutting it, figures, and the engine."""

import io
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

from benchmarks.measure import Row, milliseconds
from bento_service.inference.classifier import Classifier
from pipeline.contract.decoding import decode
from pipeline.contract.image_stats import image_stats
from pipeline.contract.locating import locate
from pipeline.contract.preprocessing import prepare
from pipeline.engine.engine import Engine

LARGE = (4000, 3000)
"""Pixels of a microscope camera's photograph: 12 megapixels."""
_ROUNDS = 15


def stage_rows(classifier: Classifier, engine: Engine, image: bytes) -> list[Row]:
    """Milliseconds of each stage, for a small photograph and a large one.

    Args:
        classifier: a promoted model.
        engine: its engine.
        image: a JPEG of 320 x 240 pixels.
    """
    sizes = {"320x240": image, "12 MP": _large(image)}
    return [row for name, data in sizes.items() for row in _stages(classifier, engine, data, name)]


def _stages(classifier: Classifier, engine: Engine, data: bytes, size: str) -> list[Row]:
    contract = classifier.contract
    pixels, prepared = decode(data), prepare(data, contract)
    crop = prepared.crop[None]
    whole = milliseconds(lambda: image_stats(classifier.classify(data).prepared), _ROUNDS)
    stages: dict[str, Callable[[], object]] = {
        "decode": partial(decode, data),
        "locate": partial(locate, pixels),
        "decode, locate and crop": partial(prepare, data, contract),
        "statistics": partial(image_stats, prepared),
        "engine": partial(engine.predict, crop),
    }
    rows = []
    for name, work in stages.items():
        took = milliseconds(work, _ROUNDS)
        share = np.median(took) / np.median(whole)
        rows.append(_row(f"{name}, {size}", took, f"{share:.0%} of the whole"))
    return [*rows, _row(f"the whole, {size}", whole, "one image, nothing beside it")]


def _row(name: str, times: np.ndarray, baseline: str) -> Row:
    """The median; the 4th and 12th of 15 rounds hold it with 96 %."""
    low, value, high = (float(np.sort(times)[place]) for place in (3, 7, 11))
    return Row(name=name, value=value, low=low, high=high, unit="ms", baseline=baseline)


def _large(image: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(image)).resize(LARGE, Image.Resampling.BICUBIC).save(
        out, "JPEG", quality=90
    )
    return out.getvalue()
