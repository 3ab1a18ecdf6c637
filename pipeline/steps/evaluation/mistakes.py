"""The mistakes that matter most: wrong answers the model was sure of, one a cell."""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import Artifact, ServedManifest
from pipeline.contract.preprocessing import Prepared, prepare
from pipeline.engine.engine import Engine
from pipeline.engine.occlusion import occlusion_map
from pipeline.records import Frozen, Record
from pipeline.steps.evaluation.predictions import Predictions


class Mistake(Frozen):
    """A wrong answer, the surest of those to images of one cell."""

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
    """Of the cell, out of `images`."""
    images: int


@dataclass(frozen=True)
class ExplainedMistake:
    """What a person needs to see to understand a mistake."""

    mistake: Mistake
    prepared: Prepared
    worth: NDArray[np.float64]
    """Log-odds of the named class that each part of the crop is worth (grid, grid)."""


def worst_mistakes(answers: Predictions, count: int) -> tuple[Mistake, ...]:
    """The wrong predictions with the lowest uncertainty, at most one a cell, in that order."""
    images = Counter(record.cell for record in answers.records)
    wrong: dict[str, list[int]] = defaultdict(list)
    for place, (record, said) in enumerate(zip(answers.records, answers.predictions, strict=True)):
        if said.label != record.label:
            wrong[record.cell].append(place)

    def uncertainty(place: int) -> tuple[float, str]:
        return float(answers.uncertainties[place]), answers.records[place].sha256

    surest = sorted((min(places, key=uncertainty) for places in wrong.values()), key=uncertainty)
    return tuple(_mistake(answers, place, wrong, images) for place in surest[:count])


def _mistake(
    answers: Predictions, place: int, wrong: dict[str, list[int]], images: Counter[str]
) -> Mistake:
    record, said = answers.records[place], answers.predictions[place]
    return Mistake(
        file=record.file,
        sha256=record.sha256,
        group=record.group,
        cell=record.cell,
        truth=record.label,
        label=said.label,
        confidence=said.probabilities[said.label],
        truth_probability=said.probabilities[record.label],
        uncertainty=round(float(answers.uncertainties[place]), 4),
        wrong_images=len(wrong[record.cell]),
        images=images[record.cell],
    )


def explain_mistakes(
    mistakes: Sequence[Mistake],
    records: Sequence[Record],
    served: Artifact[ServedManifest],
    *,
    store: ArtifactStore,
) -> list[ExplainedMistake]:
    """Fetch the images of mistakes again and ask the served engine what it saw in them."""
    contract = served.manifest.contract
    wanted = {mistake.sha256 for mistake in mistakes}
    images = read_images(store, [record for record in records if record.sha256 in wanted])
    prepared = {record.sha256: prepare(data, contract) for record, data in images}
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine.of(store.fetch(served, Path(folder)), served.manifest.parity)
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
