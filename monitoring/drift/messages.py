"""Sentences about a drift test, for `drift.json`, page, retrain reason, log and demo."""

from collections.abc import Sequence

from monitoring.config import DriftTestConfig
from monitoring.drift.result import ColumnDrift, DriftResult, Quality
from pipeline.artifacts import WindowManifest

NO_DRIFT = "No drift: every column is below its alarm threshold."


def alarms(columns: Sequence[ColumnDrift], quality: Quality) -> tuple[str, ...]:
    """Why a window raises an alarm, a sentence per column or quality; empty without an alarm."""
    drifted = sorted((c for c in columns if c.ratio > 1), key=lambda c: -c.ratio)
    texts = [f"{c.name}: {c.ratio:.1f}x the alarm threshold" for c in drifted]
    if quality.alarm:
        texts.append(
            f"no cell found in {quality.window:.0%} of images (reference: {quality.reference:.0%})"
        )
    return tuple(texts)


def too_few(result: DriftResult, config: DriftTestConfig) -> tuple[str, ...]:
    """What a window lacks for a test, and what to do, as sentences; empty if testable."""
    texts = []
    if result.distinct < config.min_sample:
        texts.append(
            f"too few images to test: {result.distinct} distinct in {result.n} predictions, "
            f"at least {config.min_sample} required; the next scheduled run tests them with its "
            "window, otherwise choose a larger window"
        )
    if result.reference_groups < config.min_groups:
        texts.append(
            f"too few reference groups to test: {result.reference_groups} groups, "
            f"at least {config.min_groups} required; train on an archive of more cells"
        )
    return tuple(texts)


def other_models(window: WindowManifest) -> tuple[str, ...]:
    """Which model answered in place of the promoted one, or beside it, as sentences.

    Empty if the promoted model made all predictions of the window.
    """
    tested, total = window.inputs.get("model", ""), sum(window.answered.values())
    texts = []
    if window.promoted and tested != window.promoted:
        texts.append(
            f"{tested} made {window.answered[tested]} of {total} predictions and is tested against "
            f"its own reference; the pointer names {window.promoted}: a container keeps the model "
            "it was built with"
        )
    texts += [
        f"not tested: {count} of {total} predictions, by {tag}; a window tests one model, the "
        "promoted one with most predictions"
        for tag, count in window.answered.items()
        if tag != tested
    ]
    return tuple(texts)


def caveats(
    result: DriftResult, unmatched: Sequence[str], missing: Sequence[str]
) -> tuple[str, ...]:
    """What the test did not cover, as sentences; never empty.

    Args:
        result: the sizes of window and reference.
        unmatched: caveats of the class mix.
        missing: statistics that some log lines lack.
    """
    texts = list(unmatched)
    if repeated := result.n - result.distinct:
        texts.insert(
            0, f"{repeated} of {result.n} predictions repeat an image; each image counts once"
        )
    if missing:
        texts.append(f"not compared, missing in some log lines: {', '.join(missing)}")
    # The log does not tell how many cells a window shows (see two_sample).
    texts.append(
        f"calibrated for windows of at least {-(-result.reference_groups // 3)} different groups; "
        "fewer cells alarm more often without drift"
    )
    return tuple(texts)
