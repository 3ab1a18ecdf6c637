"""Time of each stage of one prediction: decode, locate, crop, statistics, engine."""

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.images import CAMERA, resize_jpeg
from benchmarks.measure import Row, median_row, milliseconds
from bento_service.inference.classifier import Classifier
from pipeline.contract.decoding import decode
from pipeline.contract.image_stats import image_stats
from pipeline.contract.locating import locate_nucleus
from pipeline.contract.preprocessing import prepare
from pipeline.engine.serving_engine import Engine

_ROUNDS = 15


def stage_rows(classifier: Classifier, engine: Engine, image: bytes) -> list[Row]:
    """Milliseconds of each stage, for a small photograph and a large one.

    Args:
        classifier: of a promoted model.
        engine: of the same model.
        image: a JPEG of 320 x 240 pixels.
    """
    sizes = {"320x240": image, "12 MP": resize_jpeg(image, CAMERA, quality=90)}
    return [row for name, data in sizes.items() for row in _stages(classifier, engine, data, name)]


def _stages(classifier: Classifier, engine: Engine, data: bytes, size: str) -> list[Row]:
    """Milliseconds of each stage for one image, with its share of the total."""
    contract = classifier.contract
    pixels, prepared = decode(data), prepare(data, contract)
    crop = prepared.crop[None]
    total = milliseconds(lambda: image_stats(classifier.classify(data).prepared), _ROUNDS)
    stages: dict[str, Callable[[], object]] = {
        "decode": partial(decode, data),
        "locate": partial(locate_nucleus, pixels),
        "decode, locate and crop": partial(prepare, data, contract),
        "statistics": partial(image_stats, prepared),
        "engine": partial(engine.predict, crop),
    }
    rows = []
    for name, work in stages.items():
        times = milliseconds(work, _ROUNDS)
        share = np.median(times) / np.median(total)
        rows.append(median_row(f"{name}, {size}", times, "ms", f"{share:.0%} of the total"))
    return [*rows, median_row(f"total, {size}", total, "ms", "one image, machine idle")]
