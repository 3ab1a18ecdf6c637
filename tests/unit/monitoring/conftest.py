"""A seeded predictions for the tests of monitoring."""

import pytest

from tests.unit.monitoring.fake_predictions import FakePredictions


@pytest.fixture
def predictions() -> FakePredictions:
    """A seeded predictions."""
    return FakePredictions(seed=11)
