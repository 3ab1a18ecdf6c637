"""History: what served when and for how long, who moved the pointer and why."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from pipeline.adapters.registry import Pointer, PromotionRefusal
from pipeline.records import Frozen

_WORDS = {"promotion": "promoted", "rollback": "rolled back"}


class ServingPeriod(Frozen):
    """One move of the pointer and the time that its model then served."""

    sequence: int
    kind: Literal["promotion", "rollback"]
    from_tag: str
    """Whom it replaced; empty for the first model."""
    tag: str
    since: datetime
    until: datetime | None
    """None while it serves."""
    seconds: float
    """How long it served, or has been serving."""
    author: str
    reason: str
    run_id: str
    served: str
    verdict: str


def serving_periods(moves: Sequence[Pointer], now: datetime) -> list[ServingPeriod]:
    """The ledger as periods.

    Args:
        moves: every move, oldest first.
        now: until when the last one has served.
    """
    tags = ["", *(move.tag for move in moves)]
    ends = [*(move.time for move in moves[1:]), None]
    return [
        ServingPeriod(
            sequence=move.sequence,
            kind=move.kind,
            from_tag=before,
            tag=move.tag,
            since=move.time,
            until=end,
            # Two machines' clocks may disagree by more than a short period.
            seconds=max(((end or now) - move.time).total_seconds(), 0.0),
            author=move.author,
            reason=move.reason,
            run_id=move.run_id,
            served=move.served,
            verdict=move.verdict,
        )
        for move, before, end in zip(moves, tags, ends, strict=False)
    ]


def table(name: str, shown: Sequence[ServingPeriod]) -> Table:
    """The periods for people, newest first; the tags of one name differ in their version only."""
    out = _table(f"What served as {name}", "#", "since (UTC)", "served for", "model")
    for period in reversed(shown):
        out.add_row(
            str(period.sequence),
            f"{period.since:%Y-%m-%d %H:%M}",
            duration(period.seconds) + ("\nand serves" if period.until is None else ""),
            _version(period.tag)
            + (f"\nafter {_version(period.from_tag)}" if period.from_tag else ""),
            _said(f"{_WORDS[period.kind]} by {period.author}: {period.reason}", period.run_id),
            style="bold" if period.until is None else None,
        )
    return out


def refusal_table(shown: Sequence[PromotionRefusal]) -> Table:
    """What was judged and not promoted, for people, newest first."""
    out = _table("Refused at promotion", "when (UTC)", "model")
    for refusal in reversed(shown):
        out.add_row(
            f"{refusal.time:%Y-%m-%d %H:%M}",
            _version(refusal.tag),
            _said(f"{refusal.author}: {refusal.reason}", refusal.run_id),
        )
    return out


def _table(title: str, *headings: str) -> Table:
    """A table that is still a table on 80 columns: what may be long is in the last one."""
    out = Table(title=title, title_justify="left", box=box.HORIZONTALS, pad_edge=False)
    for heading in headings:
        out.add_column(heading, no_wrap=True)
    out.add_column("who and why", overflow="fold")
    return out


def _said(words: str, run_id: str) -> Text:
    return Text.assemble(words, ("\n" + run_id if run_id else "", "dim"))


def duration(seconds: float) -> str:
    """A time span in its two largest units, such as `3 d 4 h`."""
    whole = timedelta(seconds=int(seconds))
    hours, rest = divmod(whole.seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = [(whole.days, "d"), (hours, "h"), (minutes, "min"), (left, "s")]
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2])


def _version(tag: str) -> str:
    return tag.rpartition(":")[2]
