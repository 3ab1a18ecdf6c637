"""Jittered crops: the same cell with another stain, lamp and scale."""

import numpy as np
import pytest

from pipeline.contract.cell_box import CellBox
from pipeline.contract.model_contract import ModelContract
from pipeline.contract.preprocessing import Prepared
from pipeline.modeling.augmentation import crop_names, jittered

CONTRACT = ModelContract(name="cells", classes=("ROUND", "LOBED"), input_size=64)
NAMES = [name for n in range(40) for name in crop_names(f"{n:064x}", 1)[1:]]


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    """A violet disc on a pink background."""
    rows, columns = np.indices((120, 160))
    disc = (rows - 60) ** 2 + (columns - 80) ** 2 < 25**2
    image = np.where(disc[..., None], (120, 60, 160), (230, 200, 210)).astype(np.uint8)
    box = CellBox(left=25, top=5, side=110)
    return Prepared(image, box, box, image[:64, :64])


def test_the_original_crop_comes_first_and_names_are_unique() -> None:
    """Its name is the image's hash, so that packs without jitter stay valid."""
    names = crop_names("ab", 3)
    assert names[0] == "ab"
    assert len(set(names)) == 4


def test_the_same_name_gives_the_same_crop(prepared: Prepared) -> None:
    """Therefore a cache by name is a cache by content."""
    first, again = (jittered(prepared, CONTRACT, NAMES[0]) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8


def test_crops_differ_in_colour_and_scale_but_show_the_cell(prepared: Prepared) -> None:
    """The nucleus stays central and darker than the background; size and colours vary."""
    crops = np.stack([jittered(prepared, CONTRACT, name) for name in NAMES]).astype(float)
    middle, corner = crops[:, 28:36, 28:36].mean(axis=(1, 2)), crops[:, :6, :6].mean(axis=(1, 2))
    assert (middle[:, 1] < corner[:, 1] - 60).all()
    assert (middle.std(axis=0) > 4).all()
    covered = (crops[..., 1] < 130).mean(axis=(1, 2))
    assert covered.max() > 1.5 * covered.min()
