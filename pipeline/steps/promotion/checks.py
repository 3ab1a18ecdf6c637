"""The gate's checks: each compares a measured figure with a limit, and says so in a sentence."""

from collections.abc import Sequence

import numpy as np

from pipeline.artifacts import Parity
from pipeline.config.promotion_gate_limits import GateConfig
from pipeline.contract.class_names import respelt
from pipeline.records import Record
from pipeline.statistics.groups import group_codes
from pipeline.statistics.intervals import Interval
from pipeline.statistics.paired_comparison import Difference, PairedPredictions, paired_differences
from pipeline.steps.evaluation.scoring import Scores
from pipeline.steps.promotion.eligible_cells import EligibleCells
from pipeline.steps.promotion.serve_check import ServeCheck
from pipeline.steps.promotion.verdict import Check, Criterion, at_least, at_most


def data_checks(cells: EligibleCells, config: GateConfig) -> list[Check]:
    """Checks that no test cell was trained on, and that each class has enough cells."""
    leaked = len(cells.leaked)
    copies = "No test cell has a copy in the challenger's training data."
    if leaked:
        named = ", ".join(cells.leaked[:5]) + (" and more" if leaked > 5 else "")
        copies = f"Test cells with copies in the challenger's training data: {named}."
    required = config.min_class_cells
    return [
        Criterion("evidence", "copies across the split", at_most(0), "cells").check(leaked, copies),
        Criterion("evidence", "cells to judge on", at_least(required), "cells").check(
            min(cells.fair.values(), default=0), _cells_sentence(cells, required)
        ),
    ]


def floor_checks(scores: Scores, config: GateConfig) -> list[Check]:
    """Checks that balanced accuracy and each sensitivity reach the floors for every model."""
    accuracy, floor = scores.balanced_accuracy, config.min_balanced_accuracy
    sentence = (
        f"Balanced accuracy on {scores.cells} test cells: {accuracy.value:.3f} "
        f"(required: {floor:g})."
    )
    checks = [Criterion("floors", "balanced accuracy", at_least(floor)).check(accuracy, sentence)]
    floor = config.min_class_sensitivity
    for name, sensitivity in scores.sensitivity.items():
        sentence = f"Sensitivity to {name}: {sensitivity.value:.0%} (required: {floor:.0%})."
        criterion = Criterion("floors", f"sensitivity {name}", at_least(floor))
        checks.append(criterion.check(sensitivity, sentence))
    return checks


def first_model_check(scores: Scores, config: GateConfig) -> Check:
    """Check that the lower bound of a first model's balanced accuracy reaches its own floor."""
    accuracy, floor = scores.balanced_accuracy, config.first_min_low
    sentence = (
        "No champion to compare with, so the lower bound of the balanced accuracy decides: "
        f"{accuracy.low:.3f} (required: {floor:g})."
    )
    return Criterion("champion", "first model", at_least(floor, "low")).check(accuracy, sentence)


def classes_check(challenger: Sequence[str], champion: Sequence[str]) -> Check:
    """Check that both models have the same classes, in any order: labels are compared by name."""
    same = set(challenger) == set(champion)
    sentence = "The challenger has the champion's classes."
    if not same:
        spelt = respelt(challenger, champion)
        names = ", ".join(f"{old} for {new}" for new, old in spelt.items())
        sentence = (
            "The classes differ, so the models cannot be compared: the challenger has "
            f"{', '.join(challenger)}; the champion has {', '.join(champion)}. "
            + (f"Write the champion's spelling in the config's classes: {names}. " if spelt else "")
            + "Other classes need a config with another contract.name."
        )
    return Criterion("champion", "same classes", at_least(1), "yes").check(float(same), sentence)


def champion_checks(
    records: Sequence[Record],
    challenger: Sequence[str],
    champion: Sequence[str],
    config: GateConfig,
) -> list[Check]:
    """Non-inferiority checks, overall and per class: resampled lower bounds against margins.

    Args:
        records: label, group and cell of images that neither model was trained on (n,).
        challenger: classes that the challenger predicted (n,).
        champion: classes that the champion predicted (n,).
        config: margins and number of resamples.
    """
    truth = [record.label for record in records]
    names = sorted({*truth, *challenger, *champion})
    labels, new, old = (
        np.array([names.index(name) for name in of_images], np.int64)
        for of_images in (truth, challenger, champion)
    )
    groups = group_codes([record.group for record in records])
    cells = group_codes([record.cell for record in records])
    predictions = PairedPredictions(labels, new, old, groups, cells)
    differences = paired_differences(predictions, draws=config.draws)
    return [
        _non_inferiority("balanced accuracy", differences.overall, config.max_loss),
        *(
            _non_inferiority(f"sensitivity {names[index]}", difference, config.max_class_loss)
            for index, difference in differences.by_class.items()
        ),
    ]


def calibration_check(error: Interval, config: GateConfig) -> Check:
    """Check that the lower bound of the calibration error, per cell, is within its limit.

    The lower bound decides because the expected calibration error sums absolute gaps, so that
    chance only increases it: with 50 cells a perfectly calibrated model has 0.04 on average.
    """
    limit = config.max_calibration_error
    sentence = (
        f"Expected calibration error per cell: {error.value:.3f}. Few cells inflate it, so the "
        f"lower bound decides: {error.low:.3f} (allowed: {limit:g})."
    )
    criterion = Criterion("calibration", "calibration error", at_most(limit, "low"))
    return criterion.check(error, sentence)


def parity_checks(parity: Parity, config: GateConfig) -> list[Check]:
    """Checks that the serving engine agrees with Keras, and loses little balanced accuracy."""
    agreement, loss = parity.top1_agreement, parity.accuracy_loss
    share = "" if parity.operations == 1 else f", with {parity.operations:.0%} of the operations,"
    agrees = (
        f"At {parity.precision}{share} the serving engine predicts Keras's class on "
        f"{agreement:.1%} of {parity.images} test images (required: {config.min_parity:.1%})."
    )
    change = (
        f"Loss of balanced accuracy against Keras: {_points(loss)} points "
        f"(allowed: {_points(config.max_parity_loss)})."
    )
    return [
        Criterion("serving", "engine parity", at_least(config.min_parity)).check(agreement, agrees),
        Criterion(
            "serving", "engine accuracy", at_most(config.max_parity_loss), "difference"
        ).check(loss, change),
    ]


def serving_checks(serving: ServeCheck, config: GateConfig) -> list[Check]:
    """Checks that the service loads the bundle and replays its golden images, in time and size.

    A bundle that does not load fails all three checks.
    """
    loads = "The service's code loads the bundle and replays its golden images."
    latency, size = config.max_latency_ms, config.max_size_mb
    latency_sentence = f"Latency per image: {serving.latency_ms:.0f} ms (allowed: {latency:g} ms)."
    size_sentence = f"Size of the bundle: {serving.megabytes:.1f} MB (allowed: {size:g} MB)."
    if not serving.ok:
        loads = f"The service's code cannot serve this bundle: {serving.error}"
        latency_sentence = size_sentence = "Not measured, because the bundle does not load."
    checks = [
        Criterion("serving", "serves", at_least(1), "yes").check(float(serving.ok), loads),
        Criterion("serving", "latency", at_most(latency), "ms").check(
            serving.latency_ms, latency_sentence
        ),
        Criterion("serving", "size", at_most(size), "MB").check(serving.megabytes, size_sentence),
    ]
    if serving.ok:
        return checks
    return [check.model_copy(update={"passed": False}) for check in checks]


def _non_inferiority(metric: str, difference: Difference, margin: float) -> Check:
    """Check that the challenger loses at most `margin` against the champion."""
    limit = at_least(-margin, "resampled low")
    criterion = Criterion("champion", f"{metric} against the champion", limit, "difference")
    return criterion.check(difference, _difference_sentence(difference, margin))


def _difference_sentence(difference: Difference, margin: float) -> str:
    """Sentence with the difference, the bound that decides, and the bound of the 95 % interval."""
    return (
        f"{_points(difference.value)} points against the champion on {difference.cells} cells that "
        f"neither model was trained on ({difference.differing} differ). "
        f"Lower bound of the bootstrap over groups: {_points(difference.resampled_low)} points "
        f"(allowed: {_points(-margin)}). "
        f"Lower bound of the 95 % interval: {_points(difference.low)} points."
    )


def _points(share: float) -> str:
    """A share in points of a hundred with its sign, such as `-3.2`; zero is `+0.0`."""
    return f"{round(100 * share, 1) + 0.0:+.1f}"


def _cells_sentence(cells: EligibleCells, required: int) -> str:
    too_few = [name for name, count in cells.fair.items() if count < required]
    if not too_few:
        name = min(cells.fair, key=lambda label: cells.fair[label])
        return (
            f"Every class has enough cells for a comparison. Fewest: {cells.fair[name]} of {name} "
            f"(required: {required})."
        )
    counts = [
        f"{name} has {cells.fair[name]}"
        + (f" (the champion was trained on {cells.spent[name]} more)" if cells.spent[name] else "")
        for name in too_few
    ]
    return (
        f"Too few cells for a comparison: each class needs {required} cells that neither model was "
        f"trained on and that both predicted. {'; '.join(counts)}."
    )
