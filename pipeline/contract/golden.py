"""Images whose answers a model must repeat before anybody is served by it."""

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
from pipeline.contract.preprocessing import prepare
from pipeline.contract.spec import ModelContract
from pipeline.errors import ArtifactError, GoldenError

GOLDEN = "golden"
TOLERANCE = {"int8": 0.06, "int8-thin": 0.12}
"""Precision to how far its answers may be from what training saw, where floats are nearer."""
Probabilities = NDArray[np.float32]


class GoldenExample(BaseModel):
    """One image of the bundle and the probabilities that training saw for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    """Path inside the bundle, below `golden/`."""
    label: str
    probabilities: tuple[float, ...]


class Replayed(NamedTuple):
    """What a model made of its golden images."""

    worst: float
    """Largest difference in probability."""
    milliseconds: float
    """Median time of an answer, from the bytes of the image."""


def write_golden(folder: Path, examples: Sequence[GoldenExample], images: Sequence[bytes]) -> None:
    """Store examples and their images under `folder/golden/`."""
    target = folder / GOLDEN
    target.mkdir(parents=True, exist_ok=True)
    for example, image in zip(examples, images, strict=True):
        (target / example.file).write_bytes(image)
    body = [example.model_dump(mode="json") for example in examples]
    (target / "golden.json").write_text(json.dumps(body, indent=2) + "\n")


def read_golden(folder: Path) -> list[GoldenExample]:
    """The examples of a bundle folder."""
    body = json.loads((folder / GOLDEN / "golden.json").read_text())
    return [GoldenExample.model_validate(item) for item in body]


def tolerance(contract: ModelContract, precision: str) -> float:
    """How far an engine of this precision may be from what training saw.

    Eight bits and thinner convolutions are farther from it than floats are
    (docs/decisions/0011-int8-and-low-rank.md).
    """
    return max(contract.golden_tolerance, TOLERANCE.get(precision, 0.0))


def replay(
    folder: Path,
    contract: ModelContract,
    predict: Callable[[Pixels], Probabilities],
    precision: str = "f32",
) -> Replayed:
    """Answer every golden image, one at a time.

    Args:
        folder: a bundle with `golden/`.
        contract: the bundle's contract.
        predict: crop (size, size, 3) uint8 to probabilities (classes,).
        precision: of whoever predicts.

    Raises:
        GoldenError: when an answer is further off than is tolerated.
    """
    examples = read_golden(folder)
    if not examples:
        raise ArtifactError("the bundle has no golden images", expected="at least one")
    worst, allowed, times = 0.0, tolerance(contract, precision), []
    for example in examples:
        image = (folder / GOLDEN / example.file).read_bytes()
        before = time.perf_counter()
        answer = predict(prepare(image, contract).crop)
        times.append(time.perf_counter() - before)
        difference = float(np.abs(answer - np.array(example.probabilities)).max())
        worst = max(worst, difference)
        if not difference <= allowed:
            raise GoldenError(
                f"golden image {example.file} ({example.label}) is answered differently",
                expected=f"within {allowed} of what training saw",
                received=f"{difference:.4f} off",
            )
    return Replayed(worst, 1000 * statistics.median(times))
