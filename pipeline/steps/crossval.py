"""Cross-validation: what the recipe is worth on cells it never saw, and the locked part unasked.

Folds are dealt among the cells outside the locked test part, so that choosing between recipes
leaves that part unseen.
"""

import hashlib
import logging
import math
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.config import RunConfig
from pipeline.contract.decision import decide
from pipeline.errors import InvalidInputError
from pipeline.modeling.feature_cache import ActivationFiles
from pipeline.modeling.metrics import Floats
from pipeline.modeling.weights import Arrays, read_weights
from pipeline.records import Frozen, Record
from pipeline.steps.examples import (
    TrainInputs,
    bring_activations,
    few_of_each_cell,
    to_check_on,
)
from pipeline.steps.scoring import Scores, scores
from pipeline.steps.split import groups_in
from pipeline.steps.train import learn_from

if TYPE_CHECKING:
    from pipeline.modeling.fit import Epoch

log = logging.getLogger(__name__)


class CrossvalReport(Frozen):
    """`leukoflow crossval --json`."""

    folds: int
    cells_learned: float
    """Cells that a fold's model learned from or was calibrated on, the mean over the folds."""
    temperatures: tuple[float, ...]
    """Of each fold's model."""
    scores: Scores
    """Of each cell's answers by the model that did not see it."""

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
        said = f"{self.folds} folds, {found.images} images of {found.cells} cells, "
        said += f"answered by models of {self.cells_learned:.0f} cells"
        lines = [f"{k:<30}{v.value:6.3f} ({v.low:.3f} to {v.high:.3f})" for k, v in rows.items()]
        return "\n".join([said, *lines])


def crossval(
    inputs: TrainInputs,
    config: RunConfig,
    folds: int,
    share: float = 1.0,
    *,
    store: ArtifactStore,
) -> CrossvalReport:
    """Train once a fold and score what was left out.

    A cell has at most eight images in the score: its further copies say the same.

    Args:
        inputs: split, its features and the backbone's weights.
        config: contract and hyper-parameters.
        folds: at least 3: one is scored, half of another calibrates, the rest is learned from.
        share: of each class's cells that are learned from, above 0 and up to 1. Figures at several
            shares are a learning curve: whether more cells would help.

    Raises:
        InvalidInputError: when a class has fewer cells than there are folds.
    """
    records = [record for record in store.records(inputs.split) if record.part != "test"]
    fold_of = deal_folds(records, folds)
    arrays = read_weights(store.read(inputs.weights, "weights.npz"))
    held: list[Record] = []
    answers: list[tuple[Floats, Floats]] = []
    temperatures: list[float] = []
    learned = 0
    with tempfile.TemporaryDirectory() as scratch:
        files = bring_activations(inputs, config, store, Path(scratch) / "packs")
        for fold in range(folds):
            parts = _parts(records, fold_of, fold, folds, share)
            learned += len({record.group for record in parts["train"] + parts["val"]})
            log.info("crossval: fold %d of %d, %d images", fold + 1, folds, len(parts["train"]))
            few, said, temperature = _fold(files, parts, arrays, config)
            held += few
            answers.append(said)
            temperatures.append(round(temperature, 4))
    probabilities, doubts = (np.concatenate(one) for one in zip(*answers, strict=True))
    found = scores(held, probabilities, doubts, config.contract.classes, config.evaluate)
    return CrossvalReport(
        folds=folds,
        cells_learned=learned / folds,
        temperatures=tuple(temperatures),
        scores=found,
    )


def deal_folds(records: Sequence[Record], folds: int) -> dict[str, int]:
    """Group to fold, 0 to `folds` - 1: each class's groups in turn, in order of a hash.

    Raises:
        InvalidInputError: when there are fewer than 3 folds, or a class has too few cells.
    """
    classes = _by_class(records)
    fewest = min((len(groups) for groups in classes), default=0)
    if not 3 <= folds <= fewest:
        raise InvalidInputError(
            "the cells cannot be dealt into folds",
            expected=f"3 to {fewest} folds: every class has a cell in each",
            received=str(folds),
        )
    return {
        group: place % folds
        for groups in classes
        for place, group in enumerate(sorted(groups, key=_place))
    }


def _place(group: str) -> str:
    return hashlib.sha256(f"fold:{group}".encode()).hexdigest()


def _tell(epoch: "Epoch") -> None:
    log.info("crossval: %s", epoch)


def _parts(
    records: Sequence[Record], fold_of: dict[str, int], fold: int, folds: int, share: float
) -> dict[str, list[Record]]:
    parts: dict[str, list[Record]] = {"train": [], "val": [], "test": []}
    for record in records:
        after = (fold_of[record.group] - fold) % folds
        # Half of the next fold, by the parity of a hash.
        calibrates = after == 1 and int(_place(record.group)[-1], 16) % 2 == 0
        parts["test" if after == 0 else "val" if calibrates else "train"].append(record)
    for part in ("train", "val"):
        parts[part] = _of_share(parts[part], share)
    return parts


def _of_share(records: Sequence[Record], share: float) -> list[Record]:
    """Records of a share of each class's groups: a larger share has those of a smaller one, too."""
    chosen: set[str] = set()
    for groups in _by_class(records):
        count = math.ceil(share * len(groups))
        chosen.update(sorted(groups, key=_place_to_learn)[:count])
    return [record for record in records if record.group in chosen]


def _by_class(records: Sequence[Record]) -> list[list[str]]:
    classes: dict[str, list[str]] = defaultdict(list)
    for group in groups_in(records):
        classes[group.label].append(group.id)
    return list(classes.values())


def _place_to_learn(group: str) -> str:
    return hashlib.sha256(f"learn:{group}".encode()).hexdigest()


def _fold(
    files: ActivationFiles, parts: dict[str, list[Record]], arrays: Arrays, config: RunConfig
) -> tuple[list[Record], tuple[Floats, Floats], float]:
    """Records that are scored, probabilities (n, classes) and doubts (n,), and temperature."""
    from pipeline.modeling import network
    from pipeline.modeling.fit import Checkpoint, logits_of
    from pipeline.modeling.learn import averages

    network.set_determinism(config.train.seed)
    few = few_of_each_cell(parts["test"])
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Checkpoint(LocalStore(), f"{scratch}/checkpoint.npz")
        learned = learn_from(files, parts["train"], parts["val"], arrays, config, checkpoint, _tell)
    asked = to_check_on(files, parts["test"], config)
    probabilities = softmax(logits_of(learned.trained, asked) / learned.temperature, axis=1)
    embeddings = learned.projection(averages(asked))
    doubts = [
        decide(list(row), embedding, True, config.contract, learned.review).doubt
        for row, embedding in zip(probabilities, embeddings, strict=True)
    ]
    return few, (probabilities.astype(np.float64), np.array(doubts)), learned.temperature
