"""Shadow scoring: the challenger's agreement is counted; clients never see it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bento_service import metrics
from bento_service.inference.model_loading import Loader
from bento_service.inference.shadow import Challenger, ShadowScorer
from pipeline.entrypoints import served_models


@pytest.fixture
def challenger(stage: Any, monkeypatch: pytest.MonkeyPatch) -> Challenger:
    """A follower of the shadow pointer of a store."""
    monkeypatch.setenv("STORE_URI", str(stage.root))
    loader = Loader(stage.artifacts, stage.contract.name, max_answer_ms=2000)
    return Challenger(stage.pointers, loader)


def agreed(tag: str) -> tuple[float, float]:
    """Images on which a challenger predicted the same class, and another."""
    yes, no = (metrics.SHADOW.labels(tag, agree)._value.get() for agree in ("yes", "no"))
    return float(yes), float(no)


def test_a_challenger_is_followed_until_its_pointer_is_removed(
    stage: Any, tmp_path: Path, challenger: Challenger
) -> None:
    """It has its own pointer; the served model's pointer does not change."""
    challenger.poll()
    assert challenger.current is None
    for seed in range(2):
        served = stage.publish(tmp_path / f"{seed}", seed)
        assert served_models.set_shadow(served.uri, "ada", "curious").tag == served.manifest.tag
        challenger.poll()
        assert challenger.current is not None
        assert challenger.current.classifier.tag == served.manifest.tag
    served_models.clear_shadow("blood_cells")
    challenger.poll()
    assert challenger.current is None
    assert stage.pointers.read() is None


def test_agreement_is_counted_and_excess_images_are_dropped(
    stage: Any, tmp_path: Path, challenger: Challenger, cell_image: Callable[..., bytes]
) -> None:
    """At most one image waits; without a challenger none does."""
    shadow = ShadowScorer(challenger)
    shadow.offer(cell_image(0), "EOSINOPHIL")
    shadow.score()
    tag = served_models.set_shadow(stage.publish(tmp_path / "a", 3).uri, "ada", "curious").tag
    challenger.poll()
    for label in ("EOSINOPHIL", "LYMPHOCYTE"):
        for _ in range(5):
            shadow.offer(cell_image(0), label)
        for _ in range(2):
            shadow.score()
    assert agreed(tag) == (1.0, 1.0)
