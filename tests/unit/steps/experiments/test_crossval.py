"""Cross-validation of a recipe that is kept from one class."""

import pytest

from pipeline.config import EvaluateConfig, RunConfig
from pipeline.contract.spec import ModelContract
from pipeline.errors import InvalidInputError
from pipeline.steps.experiments.crossval import without_class

CONFIG = RunConfig(
    contract=ModelContract(name="cells", classes=("A", "B", "C")),
    evaluate=EvaluateConfig(prevalence={"A": 1, "B": 2, "C": 3}),
)


def test_a_class_is_left_out_of_the_contract_and_of_the_typical_sample() -> None:
    """The model of a fold has no output for it, and nothing else of the config changes."""
    known = without_class(CONFIG, "B")
    assert known.contract.classes == ("A", "C")
    assert known.evaluate.prevalence == {"A": 1, "C": 3}
    assert known.train == CONFIG.train
    assert without_class(CONFIG, "") == CONFIG


@pytest.mark.parametrize("unknown", ["D", "A,B"])
def test_a_class_that_is_not_there_is_named(unknown: str) -> None:
    """The error says which classes there are, before anything is computed."""
    with pytest.raises(InvalidInputError, match="one of A, B, C"):
        without_class(CONFIG, unknown)


def test_two_classes_are_too_few_to_leave_one_out() -> None:
    """A model of one class has nothing to tell apart."""
    with pytest.raises(InvalidInputError, match="two others left"):
        without_class(without_class(CONFIG, "A"), "B")
