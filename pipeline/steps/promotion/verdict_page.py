"""Render a verdict: HTML page, Markdown table for forms and MLflow, lines for the log."""

from itertools import groupby

from pipeline.pages.report_site import page_templates
from pipeline.records import Frozen
from pipeline.steps.promotion.verdict import Check, GateVerdict, Topic, Unit

_TITLES: dict[Topic, str] = {
    "evidence": "Test cells",
    "champion": "Comparison with the champion",
    "floors": "Floors for every model",
    "calibration": "Calibration",
    "serving": "Serving",
}
_FORMATS: dict[Unit, str] = {
    "": "{:.3f}",
    "difference": "{:+.3f}",
    "cells": "{:.0f}",
    "ms": "{:.1f} ms",
    "MB": "{:.1f} MB",
}
_SIGNS = {"at least": "≥", "at most": "≤"}


class Scale(Frozen):
    """Axis of a topic's bars."""

    start: float
    end: float

    def percent(self, figure: float) -> float:
        """Position of a figure on the axis, 0 to 100."""
        share = (figure - self.start) / (self.end - self.start)
        return round(100 * min(max(share, 0.0), 1.0), 2)


def page(verdict: GateVerdict) -> str:
    """The verdict as a self-contained HTML page."""
    by_topic = groupby(verdict.checks, key=lambda check: check.topic)
    topics = [
        (_title(topic, verdict), [(check, _scale(check, checks)) for check in checks])
        for topic, checks in ((topic, list(group)) for topic, group in by_topic)
    ]
    template = page_templates().get_template("verdict.html.j2")
    return template.render(
        title=f"{badge(verdict).capitalize()}: {verdict.tag}",
        verdict=verdict,
        badge=badge(verdict),
        headline=headline(verdict),
        topics=topics,
        figure_text=figure_text,
        limit_text=limit_text,
    )


def badge(verdict: GateVerdict) -> str:
    """`passed`, `refused`, or `unchanged` when the challenger already serves."""
    if not verdict.passed:
        return "refused"
    return "unchanged" if verdict.unchanged else "passed"


def headline(verdict: GateVerdict) -> str:
    """The overall result in a sentence."""
    total = len(verdict.checks)
    if verdict.passed and verdict.unchanged:
        return (
            "The challenger is the champion (same bundle): nothing to promote or deploy. "
            f"All {total} checks passed."
        )
    if verdict.passed:
        return f"All {total} checks passed."
    return f"{len(verdict.failed)} of {total} checks failed: {', '.join(verdict.failed)}."


def markdown(verdict: GateVerdict) -> str:
    """The verdict as a Markdown table."""
    result = badge(verdict).capitalize()
    lines = [
        f"**{result}**: `{verdict.tag}` {_opponent(verdict, '`')}. {headline(verdict)}",
        "",
        "| check | value | 95 % interval | limit | | |",
        "|---|---|---|---|---|---|",
    ]
    for check in verdict.checks:
        mark = "pass" if check.passed else "**FAIL**"
        figures = (figure_text(check), interval_text(check), limit_text(check))
        cells = [check.name, *figures, mark, check.sentence]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines)


def log_lines(verdict: GateVerdict) -> list[str]:
    """The verdict as log lines in columns; the sentences of failed checks come last."""
    rows = [
        ["pass" if c.passed else "FAIL", c.name, figure_text(c), interval_text(c), limit_text(c)]
        for c in verdict.checks
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    reasons = [check.sentence for check in verdict.checks if not check.passed]
    return [
        f"{badge(verdict).capitalize()}: {verdict.tag} {_opponent(verdict)}",
        *table,
        headline(verdict),
        *reasons,
    ]


def figure_text(check: Check, number: float | None = None) -> str:
    """A number in a check's unit, by default the check's value."""
    number = check.value if number is None else number
    if check.unit == "yes":
        return "yes" if number else "no"
    return _FORMATS[check.unit].format(number)


def interval_text(check: Check) -> str:
    """`low to high` in the check's unit; empty without an interval."""
    if check.low is None or check.high is None:
        return ""
    return f"{figure_text(check, check.low)} to {figure_text(check, check.high)}"


def limit_text(check: Check) -> str:
    """The limit and the bound that decides: `≥ 0.600`, `resampled lower bound -0.031 ≥ -0.050`."""
    if check.unit == "yes":
        return "yes"
    ends = {
        "value": "",
        "low": "lower bound ",
        "resampled low": f"resampled lower bound {figure_text(check, check.resampled_low)} ",
    }
    return f"{ends[check.figure]}{_SIGNS[check.side]} {figure_text(check, check.threshold)}"


def _title(topic: Topic, verdict: GateVerdict) -> str:
    if topic == "champion" and verdict.champion is None:
        return "Rule for a first model"
    return _TITLES[topic]


def _scale(check: Check, checks: list[Check]) -> Scale | None:
    """Axis of a check's bar, None without a bar; all differences of a topic share one axis."""
    if check.unit == "difference":
        reach = 1.1 * max(abs(f) for c in checks for f in (c.low or 0, c.high or 0, c.threshold))
        return Scale(start=-reach, end=reach)
    if check.unit in ("ms", "MB"):
        return Scale(start=0, end=1.25 * max(check.value, check.threshold))
    if check.topic == "calibration":
        return Scale(start=0, end=1.25 * max(check.high or 0, check.threshold))
    return Scale(start=0, end=1) if check.low is not None else None


def _opponent(verdict: GateVerdict, quote: str = "") -> str:
    """`against <champion>` with the tag in `quote`s, or why there is no comparison."""
    if verdict.champion is None:
        return "as the first model"
    if verdict.champion.tag == verdict.tag:
        return "(already serving)"
    return f"against {quote}{verdict.champion.tag}{quote}"
