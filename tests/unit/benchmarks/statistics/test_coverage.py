"""Coverage of the 95 % intervals in a small simulation."""

import numpy as np
import pytest

from benchmarks.statistics.coverage import CELLS, Draw, coverage, rows
from benchmarks.statistics.simulated_cells import Population, estimate_auroc, estimate_scores

ACCURACIES = (0.95, 0.98, 1.0)


@pytest.mark.parametrize(("draw", "classes"), [(estimate_scores, 4), (estimate_auroc, 2)])
@pytest.mark.parametrize("cells", [2, 4])
def test_few_cells_with_few_errors_are_covered(draw: Draw, classes: int, cells: int) -> None:
    """Coverage is at least 93 % for every metric, where the bootstrap is below 75 %."""
    results = [
        coverage(Population((cells,) * classes, (accuracy,) * classes, correlation), draw, 30)
        for accuracy in ACCURACIES
        for correlation in (0.4, 1.0)
    ]
    for name in results[0]:
        share, width, bootstrap, _ = np.mean([result[name] for result in results], axis=0)
        assert share >= 0.93, name
        assert width < 0.95, name
        assert bootstrap < 0.75, name


def test_many_cells_are_covered_by_narrow_intervals() -> None:
    """With fifty cells per class the width is at most 1.4 times that of the bootstrap."""
    result = coverage(Population((50,) * 4, (0.9,) * 4, 0.4), estimate_scores, 40)
    share, width, _, narrow = result["balanced accuracy per image"]
    assert share >= 0.93
    assert width < 1.4 * narrow


def test_the_table_has_every_metric_at_every_size() -> None:
    """Rows of `python -m benchmarks coverage`, from one draw of each combination."""
    table = rows(runs=1)
    names = {row.name for row in table}
    for metric in (
        "balanced accuracy per image",
        "balanced accuracy per cell",
        "accuracy",
        "AUROC",
    ):
        for cells in CELLS:
            assert f"coverage, {metric}, {cells} cells per class" in names
    assert "coverage, sensitivity of a class, locked part of blood_cells.zip" in names
    assert all(row.low <= row.value <= row.high for row in table)
