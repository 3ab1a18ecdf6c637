"""Cross-validation: what the recipe is worth on cells it never saw, and the locked part unasked.

Folds are dealt among the cells outside the locked test part, so that choosing between recipes
leaves that part unseen.
"""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.config import CrossvalConfig, RunConfig
from pipeline.contract.decision import decide
from pipeline.engine.frozen import Arrays
from pipeline.errors import InvalidInputError
from pipeline.modeling.feature_cache import ActivationFiles
from pipeline.modeling.weights import read_weights
from pipeline.records import FITTED, Frozen, Record
from pipeline.statistics.metrics import Floats
from pipeline.steps.evaluation.scoring import Scores, score_predictions
from pipeline.steps.experiments.folds import assign_folds, parts_of
from pipeline.steps.experiments.novelty import Novelty, NoveltyScores, novelty
from pipeline.steps.training.examples import (
    TrainInputs,
    limit_images_per_cell,
    load_activations,
    unlabelled_examples,
)
from pipeline.steps.training.train import learn_from

if TYPE_CHECKING:
    from pipeline.modeling.fit import Epoch
    from pipeline.modeling.learn import Learned

log = logging.getLogger(__name__)


class CrossvalReport(Frozen):
    """`leukoflow crossval --out`."""

    plan: CrossvalConfig
    cells_learned: float
    """Cells that a fold's model learned from or was calibrated on, the mean over the folds."""
    temperatures: tuple[float, ...]
    """Of each fold's model."""
    scores: Scores
    """Of each cell's answers by the model that did not see it."""
    unknown: Novelty | None
    """Of the images of the plan's unknown class, each asked of every fold's model."""

    def table(self) -> str:
        """Figures with their 95 % intervals, a line each."""
        found = self.scores
        rows = {
            "balanced accuracy, images": found.balanced_accuracy,
            "balanced accuracy, cells": found.by_cell.balanced_accuracy,
            **{f"sensitivity to {name}": value for name, value in found.sensitivity.items()},
            "calibration error": found.calibration_error,
            "accuracy of the surest 80 %": found.review.accuracy_at_80,
        }
        said = f"{self.plan.folds} folds, {found.images} images of {found.cells} cells, "
        said += f"answered by models of {self.cells_learned:.0f} cells"
        if self.unknown is not None and self.unknown.auroc is not None:
            rows[f"AUROC of uncertainty, {self.plan.unknown}"] = self.unknown.auroc
            said += (
                f"; for a person {self.unknown.review_share:.0%} of {self.plan.unknown}, of which"
                f" nothing was learned, and {1 - found.review.accepted.value:.0%} of the others"
            )
        lines = [f"{k:<30}{v.value:6.3f} ({v.low:.3f} to {v.high:.3f})" for k, v in rows.items()]
        return "\n".join([said, *lines])


@dataclass(frozen=True)
class _Answers:
    """To n images, each by a model that did not learn from its cell."""

    records: list[Record]
    probabilities: Floats
    """(n, classes)"""
    uncertainties: Floats
    """(n,), like `distances`."""
    distances: Floats

    @classmethod
    def joined(cls, parts: "Sequence[_Answers]") -> "_Answers":
        return cls(
            [record for part in parts for record in part.records],
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.uncertainties for part in parts]),
            np.concatenate([part.distances for part in parts]),
        )

    @property
    def novelty_scores(self) -> NoveltyScores:
        return NoveltyScores(
            [record.group for record in self.records], self.uncertainties, self.distances
        )


def crossval(
    inputs: TrainInputs, config: RunConfig, plan: CrossvalConfig, *, store: ArtifactStore
) -> CrossvalReport:
    """Train once a fold and score what was left out.

    A cell has at most eight images in the score: its further copies say the same.

    Args:
        inputs: split, its features and the backbone's weights.
        config: contract and hyper-parameters, without the plan's unknown class.
        plan: folds, share and unknown class.

    Raises:
        InvalidInputError: when a class has fewer cells than there are folds.
    """
    records = [record for record in store.records(inputs.split) if record.part in FITTED]
    known = [record for record in records if record.label in config.contract.classes]
    strangers = limit_images_per_cell([r for r in records if r.label == plan.unknown])
    fold_of = assign_folds(known, plan.folds)
    folds = [parts_of(known, fold_of, fold, plan.share) for fold in range(plan.folds)]
    learned_from = [{record.cell for record in parts["train"] + parts["val"]} for parts in folds]
    arrays = read_weights(store.read(inputs.weights, "weights.npz"))
    home, away, temperatures = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        files = load_activations(inputs, config, store, Path(scratch) / "packs")
        for parts in folds:
            learned = _learn(files, parts, arrays, config)
            temperatures.append(round(learned.temperature, 4))
            home.append(_ask(learned, files, limit_images_per_cell(parts["test"]), config))
            if strangers:
                away.append(_ask(learned, files, strangers, config))
    return CrossvalReport(
        plan=plan,
        cells_learned=sum(map(len, learned_from)) / plan.folds,
        temperatures=tuple(temperatures),
        scores=_scores(_Answers.joined(home), config),
        unknown=_novelty(home, away, config) if away else None,
    )


def _scores(home: _Answers, config: RunConfig) -> Scores:
    classes = config.contract.classes
    return score_predictions(
        home.records, home.probabilities, home.uncertainties, classes, config.evaluate
    )


def _novelty(home: Sequence[_Answers], away: Sequence[_Answers], config: RunConfig) -> Novelty:
    strangers, known = (_Answers.joined(answers).novelty_scores for answers in (away, home))
    return novelty(strangers, known, draws=config.evaluate.draws)


def without_class(config: RunConfig, unknown: str) -> RunConfig:
    """The config of a model that does not know a class; the same where none is named.

    Raises:
        InvalidInputError: when there is no such class, or fewer than two are left.
    """
    if not unknown:
        return config
    classes = tuple(name for name in config.contract.classes if name != unknown)
    if len(classes) != len(config.contract.classes) - 1 or len(classes) < 2:
        raise InvalidInputError(
            "this class cannot be left out",
            expected=f"one of {', '.join(config.contract.classes)}, with two others left",
            received=unknown,
        )
    shares = {k: v for k, v in config.evaluate.prevalence.items() if k != unknown}
    return config.model_copy(
        update={
            "contract": config.contract.model_copy(update={"classes": classes}),
            "evaluate": config.evaluate.model_copy(update={"prevalence": shares}),
        }
    )


def _tell(epoch: "Epoch") -> None:
    log.info("crossval: %s", epoch)


def _learn(
    files: ActivationFiles, parts: dict[str, list[Record]], arrays: Arrays, config: RunConfig
) -> "Learned":
    from pipeline.modeling import network
    from pipeline.modeling.fit import Checkpoint

    log.info("crossval: %s", {part: len(found) for part, found in parts.items()})
    network.set_determinism(config.train.seed)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Checkpoint(LocalStore(), f"{scratch}/checkpoint.npz")
        return learn_from(files, parts["train"], parts["val"], arrays, config, checkpoint, _tell)


def _ask(
    learned: "Learned", files: ActivationFiles, records: list[Record], config: RunConfig
) -> _Answers:
    from pipeline.modeling.fit import logits_of
    from pipeline.modeling.learn import averages

    asked = unlabelled_examples(files, records)
    logits = logits_of(learned.trained, asked).astype(np.float64)
    probabilities = softmax(logits / learned.temperature, axis=1)
    embeddings = learned.projection(averages(asked))
    uncertainties = [
        decide(list(row), embedding, True, config.contract, learned.review).uncertainty
        for row, embedding in zip(probabilities, embeddings, strict=True)
    ]
    distances = [learned.review.distance(embedding) for embedding in embeddings]
    return _Answers(records, probabilities, np.array(uncertainties), np.array(distances))
