"""Images whose answers a model must repeat."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.contract.decoding import Pixels
from pipeline.contract.golden import (
    GoldenExample,
    Probabilities,
    read_golden,
    replay,
    write_golden,
)
from pipeline.contract.spec import ModelContract
from pipeline.errors import ArtifactError

CONTRACT = ModelContract(name="cells", classes=("ROUND", "LOBED"), golden_tolerance=0.02)
SEEN = (0.9, 0.1)


@pytest.fixture
def bundle(tmp_path: Path, cell_image: Callable[..., bytes]) -> Path:
    """A folder with two golden images, both answered with SEEN."""
    examples = [
        GoldenExample(file=f"{n}.jpeg", label="ROUND", probabilities=SEEN) for n in range(2)
    ]
    write_golden(tmp_path, examples, [cell_image(0), cell_image(1)])
    return tmp_path


def answering(*probabilities: float) -> Callable[[Pixels], Probabilities]:
    return lambda _: np.array(probabilities, np.float32)


def test_examples_come_back_as_they_were_written(bundle: Path) -> None:
    """The bundle is the only place where golden answers live."""
    assert [example.file for example in read_golden(bundle)] == ["0.jpeg", "1.jpeg"]
    assert {example.probabilities for example in read_golden(bundle)} == {SEEN}


def test_replay_returns_the_largest_difference(bundle: Path) -> None:
    """Within the tolerance the distance is told, so that it can be watched."""
    assert replay(bundle, CONTRACT, answering(0.89, 0.11)).worst == pytest.approx(0.01, abs=1e-6)


def test_the_crop_the_network_sees_is_replayed(bundle: Path) -> None:
    """Golden images go the whole way from bytes."""
    shapes = []

    def predict(crop: Pixels) -> Probabilities:
        shapes.append(crop.shape)
        return np.array(SEEN, np.float32)

    replay(bundle, CONTRACT, predict)
    assert shapes == [(128, 128, 3)] * 2


def test_eight_bits_may_be_farther_off(bundle: Path) -> None:
    """By what they were measured to be, and no more."""
    assert replay(bundle, CONTRACT, answering(0.85, 0.15), "int8").worst == pytest.approx(0.05)
    with pytest.raises(ArtifactError, match=r"within 0.06"):
        replay(bundle, CONTRACT, answering(0.83, 0.17), "int8")


def test_thinner_convolutions_may_be_farther_off_still(bundle: Path) -> None:
    """Twice as far as eight bits alone."""
    assert replay(bundle, CONTRACT, answering(0.79, 0.21), "int8-thin").worst == pytest.approx(0.11)
    with pytest.raises(ArtifactError, match=r"within 0.12"):
        replay(bundle, CONTRACT, answering(0.77, 0.23), "int8-thin")


@pytest.mark.parametrize("said", [(0.8, 0.2), (0.1, 0.9), (float("nan"), 0.1)])
def test_a_model_that_disagrees_is_refused(bundle: Path, said: tuple[float, float]) -> None:
    """Another answer, or none that is a number, names the image, the bound and the distance."""
    with pytest.raises(ArtifactError, match=r"golden image 0.jpeg \(ROUND\).*within 0.02") as error:
        replay(bundle, CONTRACT, answering(*said))
    assert error.value.received.endswith("off")


def test_every_example_needs_its_image(tmp_path: Path) -> None:
    """A forgotten image is noticed when the bundle is written, not when it is served."""
    example = GoldenExample(file="0.jpeg", label="ROUND", probabilities=SEEN)
    with pytest.raises(ValueError, match="shorter"):
        write_golden(tmp_path, [example], [])
