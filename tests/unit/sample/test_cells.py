import functools

import numpy as np
import pytest
from scipy import ndimage

from pipeline.sample.cells import CLASSES, Drawing, draw_cell
from pipeline.sample.laboratory import DYES

_SCALE = 8.0
_CELLS = 6


@functools.cache
def _draw(label: str) -> list[Drawing]:
    return [draw_cell(label, np.random.default_rng(seed), _SCALE) for seed in range(_CELLS)]


def _amount(drawing: Drawing, dye: str) -> float:
    """Mean amount of a dye over the cell."""
    return float(drawing.dyes[DYES.index(dye)].sum() / drawing.cover.sum())


def _nuclear_parts(drawing: Drawing) -> int:
    """Number of lobes after erosion of the bridges between them."""
    nucleus = ndimage.gaussian_filter(drawing.dyes[DYES.index("azure")], 3) > 0.45
    worn = ndimage.binary_erosion(nucleus, ndimage.generate_binary_structure(2, 1), iterations=6)
    return int(ndimage.label(worn)[1])


@pytest.mark.parametrize("label", CLASSES)
def test_cells_are_finite_and_lie_inside_their_drawing(label: str) -> None:
    """Amounts of dye are finite and not negative; no cell touches the edge."""
    for drawing in _draw(label):
        assert np.isfinite(drawing.dyes).all()
        assert drawing.dyes.min() >= 0
        edge = [drawing.cover[0], drawing.cover[-1], drawing.cover[:, 0], drawing.cover[:, -1]]
        assert max(side.max() for side in edge) == 0


def test_only_eosinophils_are_full_of_orange_granules() -> None:
    """The palest eosinophil has more eosin than any other cell."""
    eosin = {label: [_amount(drawing, "eosin") for drawing in _draw(label)] for label in CLASSES}
    others = [amount for label in CLASSES if label != "EOSINOPHIL" for amount in eosin[label]]
    assert min(eosin["EOSINOPHIL"]) > 1.5 * max(others)


def test_nuclei_have_the_lobes_of_their_class() -> None:
    """Neutrophils have three lobes or more, eosinophils two, lymphocytes and monocytes one."""
    lobes = {
        label: np.median([_nuclear_parts(drawing) for drawing in _draw(label)]) for label in CLASSES
    }
    assert lobes["NEUTROPHIL"] >= 3
    assert lobes["EOSINOPHIL"] == 2
    assert lobes["LYMPHOCYTE"] == lobes["MONOCYTE"] == 1


def test_monocytes_are_the_biggest_and_lymphocytes_the_fullest() -> None:
    """A monocyte covers most; a lymphocyte's nucleus fills most of its cell."""
    size = {label: np.mean([d.cover.sum() for d in _draw(label)]) for label in CLASSES}
    azure = {label: np.mean([_amount(d, "azure") for d in _draw(label)]) for label in CLASSES}
    assert max(size, key=lambda label: size[label]) == "MONOCYTE"
    assert max(azure, key=lambda label: azure[label]) == "LYMPHOCYTE"
