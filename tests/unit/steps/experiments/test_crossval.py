"""Cross-validation without one class."""

import pytest

from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.run_config import RunConfig
from pipeline.contract.model_contract import ModelContract
from pipeline.errors import InvalidInputError
from pipeline.steps.experiments.crossval import without_class

CONFIG = RunConfig(
    contract=ModelContract(name="cells", classes=("A", "B", "C")),
    evaluate=EvaluateConfig(prevalence={"A": 1, "B": 2, "C": 3}),
)


def test_the_class_is_removed_from_contract_and_prevalence() -> None:
    """Nothing else of the config changes."""
    known = without_class(CONFIG, "B")
    assert known.contract.classes == ("A", "C")
    assert known.evaluate.prevalence == {"A": 1, "C": 3}
    assert known.train == CONFIG.train
    assert without_class(CONFIG, "") == CONFIG


@pytest.mark.parametrize("unknown", ["D", "A,B"])
def test_an_unknown_class_is_refused(unknown: str) -> None:
    """The error lists the classes."""
    with pytest.raises(InvalidInputError, match="one of A, B, C"):
        without_class(CONFIG, unknown)


def test_two_classes_are_too_few_to_leave_one_out() -> None:
    """A model needs two classes."""
    with pytest.raises(InvalidInputError, match="two others left"):
        without_class(without_class(CONFIG, "A"), "B")
