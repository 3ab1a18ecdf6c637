"""Cross-validation: train a model per fold, score each cell by a model not trained on the cell.

Only cells outside the locked test part are assigned to folds, so that the choice of a recipe never
uses that part.
"""

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.config.crossval import CrossvalConfig
from pipeline.config.run_config import RunConfig
from pipeline.contract.decision import decide
from pipeline.errors import InvalidInputError
from pipeline.modeling.feature_cache import ActivationFiles
from pipeline.modeling.imagenet_weights import read_weights
from pipeline.records import FITTED, Record
from pipeline.statistics.groups import Floats
from pipeline.steps.evaluation.scoring import score_predictions
from pipeline.steps.experiments.crossval_report import CrossvalReport
from pipeline.steps.experiments.group_folds import assign_folds, parts_of
from pipeline.steps.experiments.novelty import NoveltyScores, novelty
from pipeline.steps.training.examples import (
    TrainingData,
    TrainInputs,
    limit_images_per_cell,
    load_activations,
    unlabelled_examples,
)
from pipeline.steps.training.train import fit_model

if TYPE_CHECKING:
    from pipeline.modeling.fitted_model import FittedModel
    from pipeline.modeling.training_loop import Epoch

log = logging.getLogger(__name__)


def crossval(
    inputs: TrainInputs, config: RunConfig, plan: CrossvalConfig, *, store: ArtifactStore
) -> CrossvalReport:
    """Train one model per fold, and score it on the cells of that fold.

    At most eight images of a cell are scored. The config's contract has all classes but the plan's
    unknown one.

    Raises:
        InvalidInputError: when a class has fewer groups than there are folds.
    """
    records = [record for record in store.records(inputs.split) if record.part in FITTED]
    known = [record for record in records if record.label in config.contract.classes]
    unknown = limit_images_per_cell([r for r in records if r.label == plan.unknown])
    fold_of = assign_folds(known, plan.folds)
    folds = [parts_of(known, fold_of, fold, plan.share) for fold in range(plan.folds)]
    scored = [limit_images_per_cell(parts["test"]) for parts in folds]
    n_cells = [len({record.cell for record in parts["train"] + parts["val"]}) for parts in folds]
    backbone = read_weights(store.read(inputs.weights, "weights.npz"))
    probabilities, of_known, of_unknown, temperatures = [], [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        files = load_activations(inputs, config, store, Path(scratch) / "packs")
        for parts, test in zip(folds, scored, strict=True):
            log.info("crossval: %s", {part: len(records) for part, records in parts.items()})
            model = _fit(TrainingData(files, parts["train"], parts["val"], backbone), config)
            temperatures.append(round(model.temperature, 4))
            of_fold, novelty_scores = _predict(model, files, test, config)
            probabilities.append(of_fold)
            of_known.append(novelty_scores)
            if unknown:
                of_unknown.append(_predict(model, files, unknown, config)[1])
    reference = NoveltyScores.joined(of_known)
    return CrossvalReport(
        plan=plan,
        cells_learned=sum(n_cells) / plan.folds,
        temperatures=tuple(temperatures),
        scores=score_predictions(
            [record for test in scored for record in test],
            np.concatenate(probabilities),
            reference.uncertainties,
            config.contract.classes,
            config.evaluate,
        ),
        unknown=novelty(NoveltyScores.joined(of_unknown), reference, draws=config.evaluate.draws)
        if unknown
        else None,
    )


def without_class(config: RunConfig, unknown: str) -> RunConfig:
    """Config without one class ("": all stay); InvalidInputError if fewer than two remain."""
    if not unknown:
        return config
    classes = tuple(name for name in config.contract.classes if name != unknown)
    if len(classes) != len(config.contract.classes) - 1 or len(classes) < 2:
        raise InvalidInputError(
            "the unknown class is not a class of the config, or leaves fewer than two",
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


def _fit(data: TrainingData, config: RunConfig) -> "FittedModel":
    """Fit a model, keeping no checkpoint; sets the random seeds of this process."""
    from pipeline.modeling.network import set_determinism
    from pipeline.modeling.training_loop import Checkpoint

    set_determinism(config.train.seed)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Checkpoint(LocalStore(), f"{scratch}/checkpoint.npz")
        return fit_model(data, config, checkpoint, _log_epoch)


def _log_epoch(epoch: "Epoch") -> None:
    log.info("crossval: %s", epoch)


def _predict(
    model: "FittedModel", files: ActivationFiles, records: list[Record], config: RunConfig
) -> tuple[Floats, NoveltyScores]:
    """Predict records: probabilities (n, classes), and uncertainties and distances (n,)."""
    from pipeline.modeling.fitted_model import embedding_inputs
    from pipeline.modeling.training_loop import logits_of

    examples = unlabelled_examples(files, records)
    logits = logits_of(model.trained, examples).astype(np.float64)
    probabilities = softmax(logits / model.temperature, axis=1)
    embeddings = model.projection(embedding_inputs(examples))
    uncertainties = [
        decide(list(row), embedding, True, config.contract, model.review).uncertainty
        for row, embedding in zip(probabilities, embeddings, strict=True)
    ]
    distances = [model.review.distance(embedding) for embedding in embeddings]
    groups = [record.group for record in records]
    return probabilities, NoveltyScores(groups, np.array(uncertainties), np.array(distances))
