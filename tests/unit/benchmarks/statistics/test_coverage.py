"""A small simulation: intervals hold the truth as often as they say."""

import numpy as np
import pytest

from benchmarks.statistics.coverage import CELLS, Drawing, covered, rows
from benchmarks.statistics.simulated import World, classified, separated

ACCURACIES = (0.95, 0.98, 1.0)


@pytest.mark.parametrize(("drawing", "classes"), [(classified, 4), (separated, 2)])
@pytest.mark.parametrize("cells", [2, 4])
def test_few_cells_that_are_nearly_all_right_are_covered(
    drawing: Drawing, classes: int, cells: int
) -> None:
    """At least 93 % of the time for every figure, where the bootstrap alone fails half the time."""
    found = [
        covered(World((cells,) * classes, (accuracy,) * classes, correlation), drawing, 30)
        for accuracy in ACCURACIES
        for correlation in (0.4, 1.0)
    ]
    for name in found[0]:
        ours, width, alone, _ = np.mean([one[name] for one in found], axis=0)
        assert ours >= 0.93, name
        assert width < 0.95, name
        assert alone < 0.75, name


def test_many_cells_are_covered_by_narrow_intervals() -> None:
    """Fifty cells a class: as often as promised, and hardly wider than the bootstrap's."""
    found = covered(World((50,) * 4, (0.9,) * 4, 0.4), classified, 40)
    ours, width, _, narrow = found["balanced accuracy per image"]
    assert ours >= 0.93
    assert width < 1.4 * narrow


def test_the_table_has_every_figure_at_every_size() -> None:
    """What `python -m benchmarks coverage` prints, from one drawing of each combination."""
    found = rows(runs=1)
    names = {row.name for row in found}
    for figure in (
        "balanced accuracy per image",
        "balanced accuracy per cell",
        "accuracy",
        "AUROC",
    ):
        for cells in CELLS:
            assert f"coverage, {figure}, {cells} cells a class" in names
    assert "coverage, sensitivity of a class, locked part of blood_cells.zip" in names
    assert all(row.low <= row.value <= row.high for row in found)
