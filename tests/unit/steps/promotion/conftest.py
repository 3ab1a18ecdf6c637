"""A model name in a store, and three models to promote."""

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from tests.unit.steps.promotion.promotion_harness import Model, PromotionHarness


@pytest.fixture
def harness(store: ArtifactStore) -> PromotionHarness:
    """A model name without a serving model."""
    return PromotionHarness(store)


@pytest.fixture
def models(harness: PromotionHarness) -> list[Model]:
    """Three published models."""
    return [harness.model(number) for number in range(3)]
