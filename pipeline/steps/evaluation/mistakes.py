"""Worst mistakes: the wrong predictions with the lowest uncertainty, at most one per cell."""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import AliasChoices, Field

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import Artifact, ServedManifest
from pipeline.contract.preprocessing import Prepared, prepare
from pipeline.engine.evidence_map import occlusion_map
from pipeline.engine.serving_engine import Engine
from pipeline.records import Frozen, Record
from pipeline.statistics.groups import Floats
from pipeline.steps.evaluation.predictions import Predictions


class Mistake(Frozen):
    """A cell's wrong prediction with the lowest uncertainty."""

    file: str
    sha256: str
    group: str
    cell: str = ""
    """Empty in reports of version 0.1, whose group was the cell."""
    truth: str
    label: str
    confidence: float
    truth_probability: float
    uncertainty: float = Field(validation_alias=AliasChoices("uncertainty", "doubt"))
    """Read as `doubt` from reports of version 0.1."""
    wrong_images: int
    """Number of the cell's `images` that are predicted wrongly."""
    images: int


@dataclass(frozen=True)
class ExplainedMistake:
    """A mistake with its image and the occlusion map of the predicted class."""

    mistake: Mistake
    prepared: Prepared
    log_odds: Floats
    """Log-odds that each part of the crop contributes to the predicted class (grid, grid)."""


def worst_mistakes(predictions: Predictions, max_mistakes: int) -> tuple[Mistake, ...]:
    """The wrong predictions with the lowest uncertainty, at most one per cell, lowest first."""
    images = Counter(record.cell for record in predictions.records)
    wrong: dict[str, list[int]] = defaultdict(list)
    for index, (record, logged) in enumerate(predictions):
        if logged.label != record.label:
            wrong[record.cell].append(index)

    def sort_key(index: int) -> tuple[float, str]:
        return float(predictions.uncertainties[index]), predictions.records[index].sha256

    of_cells = {cell: min(indices, key=sort_key) for cell, indices in wrong.items()}
    worst = sorted(of_cells, key=lambda cell: sort_key(of_cells[cell]))
    return tuple(
        _mistake(predictions, of_cells[cell], len(wrong[cell]), images[cell])
        for cell in worst[:max_mistakes]
    )


def _mistake(predictions: Predictions, index: int, wrong_images: int, images: int) -> Mistake:
    record, logged = predictions.records[index], predictions.logged[index]
    return Mistake(
        file=record.file,
        sha256=record.sha256,
        group=record.group,
        cell=record.cell,
        truth=record.label,
        label=logged.label,
        confidence=logged.probabilities[logged.label],
        truth_probability=logged.probabilities[record.label],
        uncertainty=round(float(predictions.uncertainties[index]), 4),
        wrong_images=wrong_images,
        images=images,
    )


def explain_mistakes(
    mistakes: Sequence[Mistake],
    records: Sequence[Record],
    served: Artifact[ServedManifest],
    *,
    store: ArtifactStore,
) -> list[ExplainedMistake]:
    """Each mistake with its image, read again, and the occlusion map by the served engine."""
    contract = served.manifest.contract
    hashes = {mistake.sha256 for mistake in mistakes}
    images = read_images(store, [record for record in records if record.sha256 in hashes])
    prepared = {record.sha256: prepare(data, contract) for record, data in images}
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(store.fetch(served, Path(folder)), served.manifest.parity.precision)
        return [
            ExplainedMistake(
                mistake,
                prepared[mistake.sha256],
                occlusion_map(
                    lambda crops: engine.predict(crops)[0],
                    prepared[mistake.sha256].crop,
                    contract.classes.index(mistake.label),
                ),
            )
            for mistake in mistakes
        ]
