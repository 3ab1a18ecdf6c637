"""Fixtures for the tests of monitoring."""

import pytest

from tests.unit.monitoring.fake_predictions import FakePredictions


@pytest.fixture
def predictions() -> FakePredictions:
    """A source of simulated predictions with a fixed seed."""
    return FakePredictions(seed=11)
