"""When a person should look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.decision import Decision, decide
from pipeline.contract.spec import ModelContract

CONTRACT = ModelContract(name="cells", classes=("A", "B", "C"), accept_confidence=0.6)


@pytest.mark.parametrize(
    ("probabilities", "cell_found", "expected"),
    [
        ((0.1, 0.8, 0.1), True, ("B", "accept", ())),
        ((0.6, 0.3, 0.1), True, ("A", "accept", ())),
        ((0.2, 0.3, 0.5), True, ("C", "review", ("low_confidence",))),
        ((0.1, 0.8, 0.1), False, ("B", "review", ("no_cell_found",))),
        ((0.2, 0.3, 0.5), False, ("C", "review", ("no_cell_found", "low_confidence"))),
    ],
)
def test_the_first_class_is_named_and_doubts_are_told(
    probabilities: tuple[float, ...], cell_found: bool, expected: tuple[str, str, tuple[str, ...]]
) -> None:
    """Each doubt has its own reason, and the threshold itself is confident enough."""
    label, decision, reasons = expected
    said = decide(probabilities, cell_found, CONTRACT)
    assert said == Decision.model_validate(
        {"label": label, "decision": decision, "reasons": reasons}
    )


def test_an_answer_that_is_no_number_is_never_accepted() -> None:
    """A broken model fails towards a person."""
    assert decide((float("nan"),) * 3, True, CONTRACT).reasons == ("low_confidence",)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.booleans())
def test_a_decision_always_has_its_reasons(probabilities: list[float], cell_found: bool) -> None:
    """Review and reasons go together, and the label is the most probable class."""
    said = decide(probabilities, cell_found, CONTRACT)
    assert (said.decision == "review") == bool(said.reasons)
    assert probabilities[CONTRACT.classes.index(said.label)] == max(probabilities)
