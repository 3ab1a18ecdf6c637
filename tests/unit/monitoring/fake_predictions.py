"""Predictions drawn for simulated cells: images of one cell resemble each other."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.image_stats import ImageStats
from pipeline.contract.prediction_log import PredictionRecord, ReferenceRecord

LABELS = ("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL")
START = datetime(2026, 11, 20, 8, tzinfo=UTC)
TAG = "demo:0123456789ab"


class FakePredictions:
    """Draws predictions; variation is larger between cells (sd 8) than within a cell (sd 4)."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._count = 0

    def draw(
        self, cells: int, copies: int, shift: float = 0.0, mix: tuple[float, ...] = (0.25,) * 4
    ) -> list[ReferenceRecord]:
        """`cells * copies` images; `shift` is added to the stain, in grey levels."""
        return [
            self._image(cell, label, effect, shift)
            for cell in range(cells)
            for label, effect in [(self._rng.choice(4, p=mix), self._rng.normal(0, 8, 40))]
            for _ in range(copies)
        ]

    def _image(
        self,
        cell: int,
        label: int,
        effect: NDArray[np.float64],
        shift: float,
    ) -> ReferenceRecord:
        self._count += 1
        v = effect + self._rng.normal(0, 4, 40) + 12 * label
        predicted = label if self._rng.random() < 0.85 else int(self._rng.integers(4))
        stats = ImageStats(
            width=320, height=240, red=180 + v[0] + shift, green=150 + v[1], blue=170 + v[2],
            contrast=30 + v[3] / 4, sharpness=400 + 9 * v[4], cell_side=0.4 + v[5] / 400,
            cell_red=140 + v[6] + shift, cell_green=90 + v[7], cell_blue=150 + v[8],
            wedge_share=0.1,
        )  # fmt: skip
        record = PredictionRecord(
            request_id=f"r{self._count}",
            time=START,
            tag=TAG,
            route="/classify",
            label=LABELS[predicted],
            decision="accept",
            probabilities={name: 0.7 if name == LABELS[predicted] else 0.1 for name in LABELS},
            cell_found=True,
            stats=stats,
            embedding=tuple(float(x) for x in v[8:]),
        )
        return ReferenceRecord(group=f"cell{cell}", truth=LABELS[label], record=record)
