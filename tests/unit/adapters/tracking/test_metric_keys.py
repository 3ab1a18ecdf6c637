"""Keys of metrics in MLflow, by MLflow's own validation."""

import pytest
from mlflow.utils.validation import _validate_metric

from pipeline.adapters.tracking.metric_keys import metric_keys

LONG = "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)"


@pytest.mark.field("class_with_brackets")
@pytest.mark.parametrize(
    "label", [LONG, *"a/b a/../b a//b a/ <b>x</b> a:b .. 100% 😀".split(), "x" * 300]
)
@pytest.mark.parametrize("prefix", ["test_sensitivity_", "gate/sensitivity "])
def test_mlflow_accepts_the_key_of_any_class(label: str, prefix: str) -> None:
    """For the metrics of an evaluation and of the gate."""
    (key,) = metric_keys([prefix + label]).values()
    _validate_metric(key, 0.5, 0, 0)  # type: ignore[no-untyped-call]


@pytest.mark.field("class_with_brackets")
def test_keys_are_unique_and_plain_names_unchanged() -> None:
    """Two classes that become one when cleaned have two keys; the order decides the number."""
    names = ["sensitivity a(b", "sensitivity a)b", "sensitivity a_b", "gate/loss low", "x" * 300]
    names.append("x" * 301)
    keys = metric_keys(names)
    assert list(keys.values())[:4] == [
        "sensitivity a_b",
        "sensitivity a_b 2",
        "sensitivity a_b 3",
        "gate/loss low",
    ]
    assert len(set(keys.values())) == len(names)
    assert max(map(len, keys.values())) <= 250
