"""The precision that serves: the fastest that answers as Keras does."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.artifacts import Parity
from pipeline.config import GateConfig
from pipeline.contract.preprocessing import prepare
from pipeline.engine.engine import Engine
from pipeline.errors import ArtifactError
from pipeline.steps.export.parity import Candidate, ParityImages, choose_engine, compare
from tests.conftest import Stage, draw_cell, write_bundle

CROP = np.zeros((1, 4, 4, 3), np.uint8)
NOWHERE = Path("nowhere")


def held(answers: list[list[float]], truth: list[int]) -> ParityImages:
    """Images whose pixels nobody looks at."""
    return ParityImages(np.repeat(CROP, len(truth), axis=0), np.array(truth), np.array(answers))


def test_agreement_and_loss_are_counted() -> None:
    """One of four answers changes, and it was right: a class of two loses half."""
    said = held([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]], [0, 0, 1, 1])
    given = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    assert compare(Candidate("int8-thin", NOWHERE, 0.55555), given, said) == Parity(
        precision="int8-thin",
        operations=0.556,
        images=4,
        top1_agreement=0.75,
        max_probability_difference=0.2,
        accuracy_loss=0.25,
    )


def test_a_better_engine_loses_nothing() -> None:
    """Where Keras was wrong and the engine is right, the loss is below 0."""
    said = held([[0.6, 0.4], [0.2, 0.8]], [1, 1])
    given = np.array([[0.4, 0.6], [0.2, 0.8]])
    assert compare(Candidate("int8", NOWHERE), given, said).accuracy_loss == -0.5


def test_an_engine_that_is_less_right_is_passed_over(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer of a thousand differs, and it was the only right one of a rare class."""
    write_bundle(tmp_path / "float", stage.contract, 0)
    crops = np.stack([prepare(draw_cell(kind), stage.contract).crop for kind in range(4)])
    many = np.concatenate([np.repeat(crops[:1], 299, axis=0), crops[3:]])
    answers = Engine(tmp_path / "float", "f32").predict(many)[0].astype(np.float64)
    said = ParityImages(many, np.array([*[0] * 299, 3]), answers)
    off = ParityImages(many, said.truth, np.concatenate([answers[:-1], answers[:1]]))
    floats = Candidate("f32", tmp_path / "float")
    loose = compare(floats, answers, off)
    assert loose.top1_agreement > GateConfig().min_parity
    assert loose.accuracy_loss == -0.5
    turned = ParityImages(many, np.array([0] * 300), off.answers)
    with pytest.raises(ArtifactError, match=r"at most 0\.002 less balanced accuracy"):
        choose_engine([floats], tmp_path / "float", stage.contract, turned, GateConfig())


@pytest.fixture
def engines(stage: Stage, tmp_path: Path) -> tuple[list[Candidate], ParityImages]:
    """Another model where bf16 should be, and what Keras would say: the float model's answers."""
    folder, other = tmp_path / "float", tmp_path / "other"
    write_bundle(folder, stage.contract, 0)
    write_bundle(other, stage.contract, 40)
    crops = np.stack([prepare(draw_cell(kind), stage.contract).crop for kind in range(4)])
    answers = Engine(folder, "f32").predict(crops)[0].astype(np.float64)
    candidates = [Candidate("bf16", other), Candidate("f32", folder)]
    return candidates, ParityImages(crops, np.arange(4), answers)


def test_the_first_that_repeats_the_golden_answers_serves(
    stage: Stage, engines: tuple[list[Candidate], ParityImages]
) -> None:
    """An engine that names the same classes but is too sure of them is passed over."""
    (other, floats), said = engines
    given = Engine(other.place, "bf16").predict(said.crops)[0].astype(np.float64)
    assert compare(other, given, said).top1_agreement == 1.0
    strict = stage.contract.model_copy(update={"golden_tolerance": 1e-9})
    taken, parity = choose_engine([other, floats], floats.place, strict, said, GateConfig())
    assert taken == floats
    assert (parity.precision, parity.top1_agreement) == ("f32", 1.0)


def test_no_engine_is_made_behind_the_one_that_serves(
    stage: Stage, engines: tuple[list[Candidate], ParityImages]
) -> None:
    """To quantise takes a minute: candidates come from a generator, and the rest of it waits."""
    (_, floats), said = engines
    more = iter([floats, floats])
    choose_engine(more, floats.place, stage.contract, said, GateConfig())
    assert list(more) == [floats]


def test_no_engine_is_better_than_a_wrong_one(
    stage: Stage, engines: tuple[list[Candidate], ParityImages]
) -> None:
    """Where none agrees, the error says by how much each of them is off."""
    candidates, said = engines
    turned = ParityImages(said.crops, said.truth, np.roll(said.answers, 1, axis=1))
    with pytest.raises(ArtifactError, match="does not give Keras's answers") as refused:
        choose_engine(candidates, candidates[1].place, stage.contract, turned, GateConfig())
    assert refused.value.received.startswith("bf16: 0.0000, ")
    assert "f32: 0.0000" in refused.value.received
