"""The gate's checks: pure judgement of measured figures, each in a sentence for people."""

from collections.abc import Sequence

import numpy as np

from pipeline.artifacts import Parity
from pipeline.config import GateConfig
from pipeline.statistics.metrics import Interval, group_codes
from pipeline.statistics.paired import Difference, paired_differences
from pipeline.steps.evaluation.scoring import Scores
from pipeline.steps.promotion.eligible_cells import EligibleCells
from pipeline.steps.promotion.serve_check import ServeCheck
from pipeline.steps.promotion.verdict import Check, at_least, at_most, judge


def evidence_checks(evidence: EligibleCells, config: GateConfig) -> list[Check]:
    """Whether training stayed off the locked cells, and whether enough are left to judge on."""
    leaked = len(evidence.leaked)
    copies = "No locked cell has a copy in the challenger's training data."
    if leaked:
        named = ", ".join(evidence.leaked[:5]) + (" and more" if leaked > 5 else "")
        copies = f"Locked cells with copies in the challenger's training data: {named}."
    return [
        judge("evidence", "copies across the split", leaked, at_most(0), copies, "cells"),
        judge(
            "evidence",
            "cells to judge on",
            min(evidence.fair.values(), default=0),
            at_least(config.min_class_cells),
            _cells_sentence(evidence, config.min_class_cells),
            "cells",
        ),
    ]


def floor_checks(scores: Scores, config: GateConfig) -> list[Check]:
    """The absolute floors, overall and class by class: what every model must reach."""
    overall, floor = scores.balanced_accuracy, config.min_balanced_accuracy
    sentence = (
        f"Balanced accuracy on the {scores.cells} locked cells is {overall.value:.3f}; "
        f"the floor is {floor:g}."
    )
    checks = [judge("floors", "balanced accuracy", overall, at_least(floor), sentence)]
    least = config.min_class_sensitivity
    for name, found in scores.sensitivity.items():
        sentence = f"{found.value:.0%} of {name} images are recognised; the floor is {least:.0%}."
        checks.append(judge("floors", f"sensitivity {name}", found, at_least(least), sentence))
    return checks


def first_model_check(scores: Scores, config: GateConfig) -> Check:
    """A first model is compared with nobody, so its interval must clear a floor on its own."""
    found, floor = scores.balanced_accuracy, config.first_min_low
    sentence = (
        "No champion serves yet, so nothing vouches for this model but its own figures: even the "
        f"low end of its balanced accuracy, {found.low:.3f}, must reach {floor:g}."
    )
    return judge("champion", "first model", found, at_least(floor, "low"), sentence)


def champion_checks(
    truth: Sequence[str],
    groups: Sequence[str],
    cells: Sequence[str],
    challenger: Sequence[str],
    champion: Sequence[str],
    config: GateConfig,
) -> list[Check]:
    """Non-inferiority, overall and per class: resampled, the loss may not exceed the margin.

    Args:
        truth: label of each image.
        groups: of each image; none of them seen by either model.
        cells: of each image, each within a group.
        challenger: what the challenger named.
        champion: what the champion named.
        config: margins and number of resamples.
    """
    names = sorted({*truth, *challenger, *champion})
    want, new, old = (
        np.array([names.index(label) for label in labels], np.int64)
        for labels in (truth, challenger, champion)
    )
    found = paired_differences(
        want, new, old, group_codes(groups), group_codes(cells), draws=config.draws
    )
    return [
        _no_loss("balanced accuracy", found.overall, config.max_loss),
        *(
            _no_loss(f"sensitivity {names[index]}", difference, config.max_class_loss)
            for index, difference in found.by_class.items()
        ),
    ]


def calibration_check(error: Interval, config: GateConfig) -> Check:
    """Whether confidence means what it says, as far as so few cells can tell.

    Each cell counts once: a hundred copies of one misread cell are one mistake.
    The low end decides: an expected calibration error sums absolute gaps, so chance only adds to
    it, and from 50 cells a perfectly calibrated model shows 0.04 on average.
    """
    sentence = (
        f"Confidence misses accuracy by {error.value:.3f} on average, each cell counting once. Few "
        f"cells inflate that figure, so the low end of its interval, {error.low:.3f}, decides: "
        f"at most {config.max_calibration_error:g}."
    )
    limit = at_most(config.max_calibration_error, "low")
    return judge("calibration", "calibration error", error, limit, sentence)


def parity_checks(parity: Parity, config: GateConfig) -> list[Check]:
    """Whether the engine that will serve names the classes that Keras names, and as well."""
    agreement, loss = parity.top1_agreement, parity.accuracy_loss
    effort = "" if parity.operations == 1 else f", with {parity.operations:.0%} of the operations,"
    same = (
        f"At {parity.precision}{effort} the serving engine names Keras's class on "
        f"{agreement:.1%} of {parity.images} locked images."
    )
    change = f"{'loses' if loss > 0 else 'gains'} {_points(loss)} points" if loss else "is level"
    worth = f"Its balanced accuracy {change}; {_points(config.max_parity_loss)} points may be lost."
    return [
        judge("serving", "engine parity", agreement, at_least(config.min_parity), same),
        judge(
            "serving", "engine accuracy", loss, at_most(config.max_parity_loss), worth, "difference"
        ),
    ]


def serving_checks(serving: ServeCheck, config: GateConfig) -> list[Check]:
    """Whether the real service code loads the bundle, repeats its golden answers, how fast, size.

    A bundle that does not load fails all three: it has no latency and no size to be proud of.
    """
    loads = "The service's own code loads the bundle and repeats its golden answers."
    if not serving.ok:
        loads = f"The service's own code does not serve this bundle: {serving.error}"
    slowest, largest = config.max_latency_ms, config.max_size_mb
    fast = f"It answers an image in {serving.latency_ms:.0f} ms; {slowest:g} ms are allowed."
    small = f"It weighs {serving.megabytes:.1f} MB; {largest:g} MB are allowed."
    checks = [
        judge("serving", "serves", float(serving.ok), at_least(1), loads, "yes"),
        judge("serving", "latency", serving.latency_ms, at_most(slowest), fast, "ms"),
        judge("serving", "size", serving.megabytes, at_most(largest), small, "MB"),
    ]
    if serving.ok:
        return checks
    unknown = {"passed": False, "sentence": "Unknown, because the bundle does not load."}
    return [checks[0], *(check.model_copy(update=unknown) for check in checks[1:])]


def _no_loss(name: str, found: Difference, margin: float) -> Check:
    limit = at_least(-margin, "resampled low")
    return judge(
        "champion",
        f"{name} against the champion",
        found,
        limit,
        _loss_sentence(found, margin),
        "difference",
        resampled_low=found.resampled_low,
    )


def _loss_sentence(found: Difference, margin: float) -> str:
    """What changed, what the rule rests on, and what so few cells cannot rule out."""
    change = "is level with the champion"
    if found.value:
        change = f"{'gains' if found.value > 0 else 'loses'} {_points(found.value)} points"
    differing = "no cell is answered differently"
    if found.differing:
        differing = f"{found.differing} of them differ"
    worst = "resampling these cells shows no loss"
    if found.resampled_low < 0:
        worst = f"resampling these cells shows a loss of up to {_points(found.resampled_low)}"
    sure = "a loss is ruled out"
    if found.low < 0:
        sure = f"so many cells cannot rule out a loss of {_points(found.low)} points"
    return (
        f"On {found.cells} cells that neither model was trained on the challenger {change}; "
        f"{differing}. {worst.capitalize()}, and {_points(margin)} points may be lost. "
        f"At 95 % {sure}."
    )


def _points(share: float) -> str:
    return f"{abs(100 * share):.1f}"


def _cells_sentence(evidence: EligibleCells, least: int) -> str:
    short = [name for name, cells in evidence.fair.items() if cells < least]
    if not short:
        name = min(evidence.fair, key=lambda label: evidence.fair[label])
        return (
            f"Every class has cells that may judge: {name} the fewest, "
            f"{evidence.fair[name]} of at least {least}."
        )
    told = [
        f"{name} has {evidence.fair[name] or 'none'}"
        + (f" (the champion saw {evidence.spent[name]} more)" if evidence.spent[name] else "")
        for name in short
    ]
    return (
        f"No fair judgement: at least {least} cells of each class are needed that neither model "
        f"was trained on and both answered, and {'; '.join(told)}."
    )
