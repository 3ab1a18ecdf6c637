"""The verdict: pure judgement of measured figures, and how it is shown."""

from collections.abc import Sequence
from pathlib import Path

import jinja2
import numpy as np
from numpy.typing import NDArray

from pipeline.adapters.registry import Pointer
from pipeline.artifacts import Frozen
from pipeline.config import GateConfig
from pipeline.modeling.metrics import balanced_accuracy, group_bootstrap, group_codes
from pipeline.steps.evaluate import EvaluationReport


class Check(Frozen):
    """One thing a challenger must keep."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    threshold: float
    passed: bool
    sentence: str


class Verdict(Frozen):
    """`verdict.json`: every check, and what they come to."""

    name: str
    tag: str
    champion: Pointer | None
    """Whom the challenger was judged against; promotion holds only while it still serves."""
    passed: bool
    checks: tuple[Check, ...]


class ServeCheck(Frozen):
    """What the service's own code said of the bundle, in a process of its own."""

    ok: bool
    latency_ms: float = 0.0
    error: str = ""


def floor_checks(report: EvaluationReport, config: GateConfig) -> list[Check]:
    """The absolute floors: what even a first model must reach."""
    overall = report.scores.balanced_accuracy
    floor = config.min_balanced_accuracy
    checks = [
        Check(
            name="balanced accuracy",
            value=overall.value,
            low=overall.low,
            high=overall.high,
            threshold=floor,
            passed=overall.value >= floor,
            sentence=f"Held-out cells are classified with a balanced accuracy of at least {floor}.",
        )
    ]
    for name, found in report.scores.sensitivity.items():
        least = config.min_class_sensitivity
        checks.append(
            Check(
                name=f"sensitivity {name}",
                value=found.value,
                low=found.low,
                high=found.high,
                threshold=least,
                passed=found.value >= least,
                sentence=f"At least {least:.0%} of held-out {name} images are found.",
            )
        )
    return checks


def parity_check(report: EvaluationReport, config: GateConfig) -> Check:
    """Whether the engine that will serve names the classes that Keras names."""
    agreement = report.parity.top1_agreement
    return Check(
        name="engine parity",
        value=agreement,
        threshold=config.min_parity,
        passed=agreement >= config.min_parity,
        sentence="The serving engine names the same class as Keras on held-out images.",
    )


def serving_checks(serving: ServeCheck, config: GateConfig) -> list[Check]:
    """Whether the real service code loads the bundle, repeats its golden answers, and how fast."""
    return [
        Check(
            name="serves",
            value=float(serving.ok),
            threshold=1.0,
            passed=serving.ok,
            sentence="The service's own code loads the bundle and repeats its golden answers."
            + (f" It said: {serving.error}" if serving.error else ""),
        ),
        Check(
            name="latency ms",
            value=serving.latency_ms,
            threshold=config.max_latency_ms,
            passed=serving.ok and serving.latency_ms <= config.max_latency_ms,
            sentence=f"One image is answered within {config.max_latency_ms:g} ms.",
        ),
    ]


def compare(
    truth: Sequence[str],
    groups: Sequence[str],
    challenger: Sequence[str],
    champion: Sequence[str],
    config: GateConfig,
) -> Check:
    """Paired, group-clustered difference of balanced accuracy, challenger minus champion."""
    names = sorted({*truth, *challenger, *champion})
    place = {name: index for index, name in enumerate(names)}
    want, new, old = (
        np.array([place[label] for label in labels], np.int64)
        for labels in (truth, challenger, champion)
    )

    def difference(weight: NDArray[np.float64]) -> float:
        ours = balanced_accuracy(want, new, len(names), weight)
        return ours - balanced_accuracy(want, old, len(names), weight)

    gain = group_bootstrap(difference, group_codes(groups), want, draws=config.draws, seed=0)
    return Check(
        name="against the champion",
        value=gain.value,
        low=gain.low,
        high=gain.high,
        threshold=-config.max_loss,
        passed=gain.low >= -config.max_loss,
        sentence=f"On {len(truth)} images that neither model was trained on, balanced accuracy "
        f"does not fall by more than {config.max_loss}.",
    )


def cannot_compare(config: GateConfig) -> Check:
    """No fair comparison is a refusal, not a pass."""
    return Check(
        name="against the champion",
        value=0.0,
        threshold=-config.max_loss,
        passed=False,
        sentence="There is no held-out cell that neither model was trained on: no fair comparison.",
    )


def page(verdict: Verdict) -> str:
    """The verdict as a page a person can read."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True)
    return environment.get_template("verdict.html.j2").render(verdict=verdict)


def markdown(verdict: Verdict) -> str:
    """The verdict as a table for the approval form."""
    lines = [
        f"**{'Passed' if verdict.passed else 'Refused'}**: `{verdict.tag}` against "
        f"{'`' + verdict.champion.tag + '`' if verdict.champion else 'no champion'}",
        "",
        "| check | value | 95 % interval | threshold | |",
        "|---|---|---|---|---|",
    ]
    for check in verdict.checks:
        interval = f"{check.low:.3f} to {check.high:.3f}" if check.low is not None else ""
        mark = "pass" if check.passed else "FAIL"
        lines.append(
            f"| {check.name} | {check.value:.3f} | {interval} | {check.threshold:g} | {mark} |"
        )
    return "\n".join(lines)
