"""A seeded world for the tests of monitoring."""

import pytest

from tests.unit.monitoring.world import World


@pytest.fixture
def world() -> World:
    """A seeded world."""
    return World(seed=11)
