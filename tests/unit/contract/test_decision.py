"""When a person should look."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.decision import ReviewRule, decide, read_review, write_review
from pipeline.contract.model_contract import ModelContract
from pipeline.errors import ArtifactError

CONTRACT = ModelContract(name="cells", classes=("A", "B", "C"), embedding_size=2)
RULE = ReviewRule(min_confidence=0.6, max_distance=5.0, centre=(1.0, 0.0))
HERE, FAR = (1.0, 0.0), (4.0, 8.0)


@pytest.mark.parametrize(
    ("probabilities", "embedding", "cell_found", "label", "reasons"),
    [
        ((0.1, 0.8, 0.1), HERE, True, "B", ()),
        ((0.6, 0.3, 0.1), (4.0, 4.0), True, "A", ()),
        ((0.2, 0.3, 0.5), HERE, True, "C", ("low_confidence",)),
        ((0.1, 0.8, 0.1), HERE, False, "B", ("no_cell_found",)),
        ((0.1, 0.8, 0.1), FAR, True, "B", ("far_from_training",)),
        (
            (0.2, 0.3, 0.5),
            FAR,
            False,
            "C",
            ("no_cell_found", "low_confidence", "far_from_training"),
        ),
    ],
)
def test_top_class_and_reasons_for_review(
    probabilities: tuple[float, ...],
    embedding: tuple[float, ...],
    cell_found: bool,
    label: str,
    reasons: tuple[str, ...],
) -> None:
    """Each exceeded limit has its own reason; a value at the limit is accepted."""
    result = decide(probabilities, embedding, cell_found, CONTRACT, RULE)
    assert (result.label, result.reasons) == (label, reasons)
    assert result.decision == ("review" if reasons else "accept")


def test_uncertainty_is_the_ratio_to_the_review_limit() -> None:
    """1 is the limit; the largest ratio counts; distance enters squared."""
    assert decide((0.8, 0.1, 0.1), HERE, True, CONTRACT, RULE).uncertainty == pytest.approx(0.5)
    assert decide((1.0, 0.0, 0.0), (1.0, 10.0), True, CONTRACT, RULE).uncertainty == pytest.approx(
        4
    )
    assert decide((0.4, 0.3, 0.3), HERE, True, CONTRACT, RULE).uncertainty == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("probabilities", "embedding"),
    [((float("nan"),) * 3, HERE), ((0.9, 0.1, 0.0), (float("nan"), 0.0))],
)
def test_nan_is_never_accepted(
    probabilities: tuple[float, ...], embedding: tuple[float, ...]
) -> None:
    """A broken model leads to review, and its uncertainty can still be sorted."""
    result = decide(probabilities, embedding, True, CONTRACT, RULE)
    assert (result.decision, result.uncertainty) == ("review", 100)


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)),
    st.booleans(),
)
def test_a_decision_always_has_its_reasons(
    probabilities: list[float], embedding: tuple[float, float], cell_found: bool
) -> None:
    """Review, reasons and an uncertainty above 1 coincide; the label is the most probable class."""
    result = decide(probabilities, embedding, cell_found, CONTRACT, RULE)
    assert (result.decision == "review") == bool(result.reasons) == (result.uncertainty > 1)
    assert probabilities[CONTRACT.classes.index(result.label)] == max(probabilities)


def test_the_rule_is_stored_in_the_bundle(tmp_path: Path) -> None:
    """`read_review` returns the rule that `write_review` stored."""
    write_review(tmp_path, RULE)
    assert read_review(tmp_path, CONTRACT) == RULE


def test_a_bundle_without_a_valid_rule_is_rejected(tmp_path: Path) -> None:
    """A rule that is missing, truncated or for another embedding size raises ArtifactError."""
    with pytest.raises(ArtifactError, match="no review rule"):
        read_review(tmp_path, CONTRACT)
    (tmp_path / "review.json").write_text('{"min_confidence": 0.6')
    with pytest.raises(ArtifactError, match="not valid"):
        read_review(tmp_path, CONTRACT)
    write_review(tmp_path, RULE.model_copy(update={"centre": (0.0,) * 3}))
    with pytest.raises(ArtifactError, match="another embedding"):
        read_review(tmp_path, CONTRACT)
