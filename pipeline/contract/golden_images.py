"""Golden images: a model must reproduce their probabilities before it serves."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.contract.decoding import Pixels
from pipeline.contract.model_contract import ModelContract
from pipeline.contract.preprocessing import prepare
from pipeline.errors import ArtifactError, GoldenError

GOLDEN = "golden"
TOLERANCE = {"int8": 0.06, "int8-thin": 0.12}
"""Largest accepted difference in probability by engine precision; for others the contract's."""
Probabilities = NDArray[np.float32]


class GoldenExample(BaseModel):
    """One image of the bundle with the probabilities that the Keras model gave at training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    """Path inside the bundle, below `golden/`."""
    label: str
    probabilities: tuple[float, ...]


class ReplayResult(NamedTuple):
    """Result of replaying the golden images."""

    max_difference: float
    """Largest difference in probability."""
    median_ms: float
    """Median duration of a prediction, including decoding."""


def write_golden(folder: Path, examples: Sequence[GoldenExample], images: Sequence[bytes]) -> None:
    """Write `golden.json` and the images of the examples to `folder/golden/`."""
    target = folder / GOLDEN
    target.mkdir(parents=True, exist_ok=True)
    for example, image in zip(examples, images, strict=True):
        (target / example.file).write_bytes(image)
    body = [example.model_dump(mode="json") for example in examples]
    (target / "golden.json").write_text(json.dumps(body, indent=2) + "\n")


def read_golden(folder: Path) -> list[GoldenExample]:
    """Read `golden/golden.json` of a bundle folder; FileNotFoundError without it."""
    body = json.loads((folder / GOLDEN / "golden.json").read_text())
    return [GoldenExample.model_validate(item) for item in body]


def tolerance(contract: ModelContract, precision: str) -> float:
    """Largest accepted difference in probability between an engine and the Keras model.

    It is larger for int8 and low-rank convolutions (docs/decisions/0011-int8-and-low-rank.md).
    """
    return max(contract.golden_tolerance, TOLERANCE.get(precision, 0.0))


def replay_golden(
    folder: Path,
    contract: ModelContract,
    predict: Callable[[Pixels], Probabilities],
    precision: str = "f32",
) -> ReplayResult:
    """Predict and time the golden images; GoldenError if one differs too much from training.

    Args:
        folder: a bundle with `golden/`.
        contract: the bundle's contract.
        predict: crop (size, size, 3) uint8 to probabilities (classes,).
        precision: of the engine behind `predict`.

    Raises:
        GoldenError: if a difference exceeds the tolerance, or is not a number.
        ArtifactError: if the bundle has no golden images.
    """
    examples = read_golden(folder)
    if not examples:
        raise ArtifactError("the bundle has no golden images", expected="at least one")
    largest, allowed, times = 0.0, tolerance(contract, precision), []
    for example in examples:
        image = (folder / GOLDEN / example.file).read_bytes()
        start = time.perf_counter()
        probabilities = predict(prepare(image, contract).crop)
        times.append(time.perf_counter() - start)
        difference = float(np.abs(probabilities - np.array(example.probabilities)).max())
        largest = max(largest, difference)
        if not difference <= allowed:
            raise GoldenError(
                f"the prediction of golden image {example.file} ({example.label}) differs from "
                "the stored probabilities",
                expected=f"within {allowed} of those at training",
                received=f"a difference of {difference:.4f}",
            )
    return ReplayResult(largest, 1000 * statistics.median(times))
