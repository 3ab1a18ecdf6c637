"""Golden images: a model must reproduce their probabilities."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.contract.decoding import Pixels
from pipeline.contract.golden_images import (
    GoldenExample,
    Probabilities,
    read_golden,
    replay_golden,
    write_golden,
)
from pipeline.contract.model_contract import ModelContract
from pipeline.errors import ArtifactError

CONTRACT = ModelContract(name="cells", classes=("ROUND", "LOBED"), golden_tolerance=0.02)
EXPECTED = (0.9, 0.1)


@pytest.fixture
def bundle(tmp_path: Path, cell_image: Callable[..., bytes]) -> Path:
    """A folder with two golden images, both with the probabilities EXPECTED."""
    examples = [
        GoldenExample(file=f"{n}.jpeg", label="ROUND", probabilities=EXPECTED) for n in range(2)
    ]
    write_golden(tmp_path, examples, [cell_image(0), cell_image(1)])
    return tmp_path


def predicting(*probabilities: float) -> Callable[[Pixels], Probabilities]:
    return lambda _: np.array(probabilities, np.float32)


def test_examples_round_trip(bundle: Path) -> None:
    """Files and probabilities are those that were written."""
    assert [example.file for example in read_golden(bundle)] == ["0.jpeg", "1.jpeg"]
    assert {example.probabilities for example in read_golden(bundle)} == {EXPECTED}


def test_replay_returns_the_largest_difference(bundle: Path) -> None:
    """Within the tolerance, so that it can be monitored."""
    result = replay_golden(bundle, CONTRACT, predicting(0.89, 0.11))
    assert result.max_difference == pytest.approx(0.01, abs=1e-6)


def test_replay_decodes_and_crops_the_images(bundle: Path) -> None:
    """The model gets the crop that `prepare` makes of the bytes."""
    shapes = []

    def predict(crop: Pixels) -> Probabilities:
        shapes.append(crop.shape)
        return np.array(EXPECTED, np.float32)

    replay_golden(bundle, CONTRACT, predict)
    assert shapes == [(128, 128, 3)] * 2


def test_int8_has_a_larger_tolerance(bundle: Path) -> None:
    """0.06, as decision 0011 says."""
    result = replay_golden(bundle, CONTRACT, predicting(0.85, 0.15), "int8")
    assert result.max_difference == pytest.approx(0.05)
    with pytest.raises(ArtifactError, match=r"within 0.06"):
        replay_golden(bundle, CONTRACT, predicting(0.83, 0.17), "int8")


def test_low_rank_convolutions_have_twice_the_tolerance_of_int8(bundle: Path) -> None:
    """0.12, as decision 0011 says."""
    result = replay_golden(bundle, CONTRACT, predicting(0.79, 0.21), "int8-thin")
    assert result.max_difference == pytest.approx(0.11)
    with pytest.raises(ArtifactError, match=r"within 0.12"):
        replay_golden(bundle, CONTRACT, predicting(0.77, 0.23), "int8-thin")


@pytest.mark.parametrize("probabilities", [(0.8, 0.2), (0.1, 0.9), (float("nan"), 0.1)])
def test_a_model_with_other_probabilities_is_refused(
    bundle: Path, probabilities: tuple[float, float]
) -> None:
    """The error names the image, the tolerance and the difference, which may be NaN."""
    with pytest.raises(ArtifactError, match=r"golden image 0.jpeg \(ROUND\).*within 0.02") as error:
        replay_golden(bundle, CONTRACT, predicting(*probabilities))
    assert error.value.received.startswith("a difference of ")


def test_every_example_needs_its_image(tmp_path: Path) -> None:
    """A missing image is an error when the bundle is written, not when it is served."""
    example = GoldenExample(file="0.jpeg", label="ROUND", probabilities=EXPECTED)
    with pytest.raises(ValueError, match="shorter"):
        write_golden(tmp_path, [example], [])
