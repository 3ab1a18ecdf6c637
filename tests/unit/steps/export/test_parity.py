"""The parity check takes the fastest engine whose predictions match Keras's."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.artifacts import Parity
from pipeline.config.promotion_gate_limits import GateConfig
from pipeline.contract.preprocessing import prepare
from pipeline.engine.serving_engine import Engine
from pipeline.errors import ArtifactError
from pipeline.steps.export.parity import Candidate, ParityImages, choose_engine, compare
from tests.conftest import Stage, draw_cell, write_bundle

CROP = np.zeros((1, 4, 4, 3), np.uint8)
FOLDER = Path("not-read")


def parity_images(probabilities: list[list[float]], truth: list[int]) -> ParityImages:
    """Black images with these predictions of Keras."""
    crops = np.repeat(CROP, len(truth), axis=0)
    return ParityImages(crops, np.array(truth), np.array(probabilities))


def test_agreement_and_loss_are_counted() -> None:
    """One of four predictions changes, and it was right: a class of two images loses half."""
    images = parity_images([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]], [0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    assert compare(Candidate("int8-thin", FOLDER, 0.55555), probabilities, images) == Parity(
        precision="int8-thin",
        operations=0.556,
        images=4,
        top1_agreement=0.75,
        max_probability_difference=0.2,
        accuracy_loss=0.25,
    )


def test_a_more_accurate_engine_has_a_negative_loss() -> None:
    """The engine is right on an image where Keras is wrong."""
    images = parity_images([[0.6, 0.4], [0.2, 0.8]], [1, 1])
    probabilities = np.array([[0.4, 0.6], [0.2, 0.8]])
    assert compare(Candidate("int8", FOLDER), probabilities, images).accuracy_loss == -0.5


def test_a_less_accurate_engine_is_rejected(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One prediction in 300 differs, and it was the only right one of a rare class."""
    write_bundle(tmp_path / "float", stage.contract, 0)
    crops = np.stack([prepare(draw_cell(kind), stage.contract).crop for kind in range(4)])
    many = np.concatenate([np.repeat(crops[:1], 299, axis=0), crops[3:]])
    predictions = Engine(tmp_path / "float", "f32").predict(many)[0].astype(np.float64)
    truth = np.array([*[0] * 299, 3])
    one_off = np.concatenate([predictions[:-1], predictions[:1]])
    candidate = Candidate("f32", tmp_path / "float")
    parity = compare(candidate, predictions, ParityImages(many, truth, one_off))
    assert parity.top1_agreement > GateConfig().min_parity
    assert parity.accuracy_loss == -0.5
    images = ParityImages(many, np.array([0] * 300), one_off)
    with pytest.raises(ArtifactError, match=r"a loss of balanced accuracy of at most 0\.002"):
        choose_engine([candidate], tmp_path / "float", stage.contract, images, GateConfig())


@pytest.fixture
def engines(stage: Stage, tmp_path: Path) -> tuple[list[Candidate], ParityImages]:
    """A bf16 engine of another model, and an f32 engine whose predictions are Keras's."""
    folder, other = tmp_path / "float", tmp_path / "other"
    write_bundle(folder, stage.contract, 0)
    write_bundle(other, stage.contract, 40)
    crops = np.stack([prepare(draw_cell(kind), stage.contract).crop for kind in range(4)])
    predictions = Engine(folder, "f32").predict(crops)[0].astype(np.float64)
    candidates = [Candidate("bf16", other), Candidate("f32", folder)]
    return candidates, ParityImages(crops, np.arange(4), predictions)


def test_the_first_engine_that_replays_the_golden_images_is_chosen(
    stage: Stage, engines: tuple[list[Candidate], ParityImages]
) -> None:
    """An engine with the same classes but other probabilities is rejected."""
    (other, floats), images = engines
    probabilities = Engine(other.folder, "bf16").predict(images.crops)[0].astype(np.float64)
    assert compare(other, probabilities, images).top1_agreement == 1.0
    strict = stage.contract.model_copy(update={"golden_tolerance": 1e-9})
    chosen, parity = choose_engine([other, floats], floats.folder, strict, images, GateConfig())
    assert chosen == floats
    assert (parity.precision, parity.top1_agreement) == ("f32", 1.0)


def test_no_engine_is_built_after_the_chosen_one(
    stage: Stage, engines: tuple[list[Candidate], ParityImages]
) -> None:
    """Quantisation takes a minute: candidates come from a generator that is not exhausted."""
    (_, floats), images = engines
    candidates = iter([floats, floats])
    choose_engine(candidates, floats.folder, stage.contract, images, GateConfig())
    assert list(candidates) == [floats]


def test_without_a_matching_engine_the_error_lists_all(
    stage: Stage, engines: tuple[list[Candidate], ParityImages]
) -> None:
    """The message has agreement and loss of each engine."""
    candidates, images = engines
    rolled = np.roll(images.probabilities, 1, axis=1)
    other = ParityImages(images.crops, images.truth, rolled)
    with pytest.raises(ArtifactError, match="no serving engine passes the parity check") as refused:
        choose_engine(candidates, candidates[1].folder, stage.contract, other, GateConfig())
    assert refused.value.received.startswith("bf16: agreement 0.0000, loss ")
    assert "f32: agreement 0.0000" in refused.value.received
