"""Comparison of a service's probabilities with the golden ones."""

import pytest

from pipeline.contract.golden_images import GoldenExample
from pipeline.contract.model_contract import ModelContract
from pipeline.errors import ArtifactError
from pipeline.steps.deployment.smoke_check import difference

CONTRACT = ModelContract(name="cells", classes=("A", "B"), golden_tolerance=0.02)
EXAMPLE = GoldenExample(file="0.png", label="A", probabilities=(0.7, 0.3))


def test_the_largest_difference_is_returned() -> None:
    """Classes are compared by name, whatever their order in the response."""
    assert difference(EXAMPLE, {"B": 0.3, "A": 0.69}, CONTRACT, "f32") == pytest.approx(0.01)


@pytest.mark.parametrize(
    "probabilities", [{"A": 0.6, "B": 0.4}, {"A": 0.7}, {"A": float("nan"), "B": 0.3}]
)
def test_other_probabilities_are_an_error(probabilities: dict[str, float]) -> None:
    """Outside the tolerance, missing or NaN."""
    with pytest.raises(ArtifactError, match=r"0\.png"):
        difference(EXAMPLE, probabilities, CONTRACT, "f32")
