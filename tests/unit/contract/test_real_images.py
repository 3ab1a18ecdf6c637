"""Preprocessing of real photographs of two laboratories; skipped without TEST_DATA."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from pipeline.contract.image_stats import image_stats
from pipeline.contract.model_contract import ModelContract
from pipeline.contract.preprocessing import prepare

CONTRACT = ModelContract(name="real", classes=("A", "B"))


@pytest.mark.parametrize("archive", ["blood_cells.zip", "other_lab.zip"])
def test_a_cell_is_found_on_real_photographs(test_data: Path, archive: str) -> None:
    """A nucleus is located in at least 57 of 60 photographs; image statistics exist for all."""
    with zipfile.ZipFile(test_data / archive) as opened:
        names = [name for name in opened.namelist() if name.lower().endswith((".jpeg", ".png"))]
        chosen = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:60]
        prepared = [prepare(opened.read(name), CONTRACT) for name in chosen]
    assert sum(one.cell_found for one in prepared) >= 57
    assert {one.crop.shape for one in prepared} == {(128, 128, 3)}
    assert all(0 < image_stats(one).contrast <= 128 for one in prepared)
