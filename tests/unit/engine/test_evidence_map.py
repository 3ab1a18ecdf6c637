"""The evidence map of a prediction."""

import numpy as np
import pytest

from pipeline.engine.evidence_map import evidence_picture, occlusion_map


def brightness(crops: np.ndarray) -> np.ndarray:
    """A model whose second class is the brightness of the upper left quarter."""
    bright = crops[:, :30, :30].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - bright, bright], axis=1)


def test_the_evidence_for_a_class_is_located() -> None:
    """Covering the bright square lowers the class that depends on it, and raises the other."""
    crop = np.zeros((60, 60, 3), np.uint8)
    crop[10:20, 10:20] = 255
    evidence = occlusion_map(brightness, crop, target=1)
    assert evidence.shape == (6, 6)
    assert evidence.argmax() == 1 * 6 + 1
    assert evidence[3:, 3:] == pytest.approx(0)
    np.testing.assert_allclose(evidence, -occlusion_map(brightness, crop, target=0), atol=1e-9)


def test_certainty_does_not_hide_the_evidence() -> None:
    """Probabilities of exactly 1 and 0 give finite log-odds."""
    crop = np.full((60, 60, 3), 255, np.uint8)
    assert np.isfinite(occlusion_map(lambda c: np.eye(2)[np.ones(len(c), int)], crop, 1)).all()


def test_a_probability_that_rounds_to_one_still_has_evidence() -> None:
    """float32 has no value between 1 - 6e-8 and 1, but the other classes' probabilities differ."""
    crop = np.zeros((60, 60, 3), np.uint8)
    crop[10:20, 10:20] = 255

    def certain(crops: np.ndarray) -> np.ndarray:
        rest = (1e-12 / (1 + brightness(crops)[:, 1])).astype(np.float32)
        return np.stack([rest, np.float32(1) - rest], axis=1)

    assert occlusion_map(certain, crop, target=1).argmax() == 1 * 6 + 1


def test_the_picture_is_coloured_where_the_evidence_is() -> None:
    """Orange for the class, blue against it, grey elsewhere."""
    evidence = np.zeros((6, 6))
    evidence[1, 1], evidence[4, 4] = 3.0, -3.0
    crop = np.full((60, 60, 3), 128, np.uint8)
    picture = np.asarray(evidence_picture(crop, evidence, 120)).astype(int)
    assert picture.shape == (120, 120, 3)
    assert picture[30, 30, 0] > picture[30, 30, 2] + 80
    assert picture[90, 90, 2] > picture[90, 90, 0] + 80
    assert np.ptp(picture[30, 90]) == 0
