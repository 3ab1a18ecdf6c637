"""Serving history: which model served when and for how long, who promoted it and why."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from pipeline.adapters.pointer_store import Pointer, PromotionRefusal
from pipeline.records import Frozen

_VERBS = {"promotion": "promoted", "rollback": "rolled back"}
_COPIED = set("sequence kind tag author reason run_id served verdict".split())


class ServingPeriod(Frozen):
    """A period in which one model served: who promoted it, why, since when and how long."""

    sequence: int
    kind: Literal["promotion", "rollback"]
    from_tag: str
    """Tag of the model before; empty for the first one."""
    tag: str
    since: datetime
    until: datetime | None
    """None while it serves."""
    seconds: float
    """Duration, until now while it serves."""
    author: str
    reason: str
    run_id: str
    served: str
    verdict: str


def serving_periods(moves: Sequence[Pointer], now: datetime) -> list[ServingPeriod]:
    """Serving periods from the ledger, oldest first; the last period is still running."""
    tags = ["", *(move.tag for move in moves)]
    ends = [*(move.time for move in moves[1:]), None]
    return [
        ServingPeriod(
            from_tag=before,
            since=move.time,
            until=end,
            # The clocks of two machines may differ by more than a short period.
            seconds=max(((end or now) - move.time).total_seconds(), 0.0),
            **move.model_dump(include=_COPIED),
        )
        for move, before, end in zip(moves, tags, ends, strict=False)
    ]


def table(name: str, periods: Sequence[ServingPeriod]) -> Table:
    """The serving periods as a table, newest first; tags are shown by their version."""
    out = _table(f"What served as {name}", "#", "since (UTC)", "served for", "model")
    for period in reversed(periods):
        serves = period.until is None
        version = _version(period.tag)
        decision = f"{_VERBS[period.kind]} by {period.author}: {period.reason}"
        out.add_row(
            str(period.sequence),
            f"{period.since:%Y-%m-%d %H:%M}",
            duration(period.seconds) + ("\nserving now" if serves else ""),
            version + (f"\nafter {_version(period.from_tag)}" if period.from_tag else ""),
            _with_run(decision, period.run_id),
            style="bold" if serves else None,
        )
    return out


def refusal_table(refusals: Sequence[PromotionRefusal]) -> Table:
    """The refused promotions as a table, newest first."""
    out = _table("Refused at promotion", "when (UTC)", "model")
    for refusal in reversed(refusals):
        out.add_row(
            f"{refusal.time:%Y-%m-%d %H:%M}",
            _version(refusal.tag),
            _with_run(f"{refusal.author}: {refusal.reason}", refusal.run_id),
        )
    return out


def _table(title: str, *headings: str) -> Table:
    """A table that fits 80 columns: only its last column folds."""
    out = Table(title=title, title_justify="left", box=box.HORIZONTALS, pad_edge=False)
    for heading in headings:
        out.add_column(heading, no_wrap=True)
    out.add_column("who and why", overflow="fold")
    return out


def _with_run(text: str, run_id: str) -> Text:
    """The text, with a dimmed line for the run id below, if there is one."""
    return Text.assemble(text, ("\n" + run_id if run_id else "", "dim"))


def duration(seconds: float) -> str:
    """A time span in its two largest units, such as `3 d 4 h`."""
    whole = timedelta(seconds=int(seconds))
    hours, rest = divmod(whole.seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = [(whole.days, "d"), (hours, "h"), (minutes, "min"), (left, "s")]
    first = next((index for index, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2])


def _version(tag: str) -> str:
    """Version in a tag `<name>:<version>`."""
    return tag.rpartition(":")[2]
