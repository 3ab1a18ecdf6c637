"""What a dataset must be: which images belong to a class, and how many must be left."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.config import RunConfig
from pipeline.records import Quarantined, Record

UNKNOWN_CLASS = "unknown class"
"""Begins the reason why an image was set aside whose label is no class."""
_TOP_REASONS = 3


@dataclass(frozen=True)
class Rule:
    """One condition on a dataset, and whether it is kept."""

    name: str
    expected: str
    received: str
    kept: bool
    problem: str
    """What to say when it is broken."""


def set_aside(record: Record, reason: str) -> Quarantined:
    """The record of an image that cannot be used."""
    return Quarantined(**record.model_dump(include=set(Quarantined.model_fields)), reason=reason)


def by_class(
    records: Iterable[Record], classes: Sequence[str]
) -> tuple[list[Record], list[Quarantined]]:
    """Records with their class as the config spells it, and those labelled as no class."""
    spelled = {name.casefold(): name for name in classes}
    named, unnamed = [], []
    for record in records:
        name = spelled.get(record.label.strip().casefold())
        if name is None:
            unnamed.append(set_aside(record, f"{UNKNOWN_CLASS} {record.label!r}"))
        else:
            named.append(record.model_copy(update={"label": name}))
    return named, unnamed


def settle_labels(records: Iterable[Record]) -> tuple[list[Record], list[Quarantined]]:
    """Images whose bytes stand under one class, once each, and all rows of the others.

    Labels that were returned through the service do not contradict those of the archives' makers:
    where these agree, only the returned rows are set aside.
    """
    rows: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        rows[record.sha256].append(record)
    agreed, disputed = [], []
    for same in rows.values():
        labels = sorted({record.label for record in same})
        made = [record for record in same if not record.returned]
        if len(labels) == 1:
            agreed.append(same[0])
        elif len({record.label for record in made}) == 1:
            agreed.append(made[0])
            reason = f"a returned label, while the archives say {made[0].label}"
            disputed += [set_aside(r, reason) for r in same if r.label != made[0].label]
        else:
            reason = f"the same image is labelled {' and '.join(labels)}"
            disputed += [set_aside(record, reason) for record in same]
    return agreed, disputed


def per_class(kept: Iterable[Record], classes: Sequence[str]) -> dict[str, int]:
    """Images of each class, in the contract's order; classes without any too."""
    counts = Counter(record.label for record in kept)
    return {label: counts[label] for label in classes}


def reasons(quarantined: Iterable[Quarantined]) -> list[tuple[str, int]]:
    """Why images were set aside and how many for each reason, the most frequent first."""
    counts = Counter(image.reason for image in quarantined)
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def amount_rules(
    counts: Mapping[str, int], quarantined: Sequence[Quarantined], config: RunConfig
) -> tuple[Rule, Rule]:
    """How much may be set aside, and how much of each class must be left."""
    every = sum(counts.values()) + len(quarantined)
    share, most = len(quarantined) / max(every, 1), config.validation.max_quarantined_share
    top = "; ".join(f"{why} ({count})" for why, count in reasons(quarantined)[:_TOP_REASONS])
    least = config.validation.min_images_per_class
    short = [f"{label} {count}" for label, count in counts.items() if count < least]
    smallest = min(counts.values(), default=0)
    return (
        Rule(
            name="Share of images set aside",
            expected=f"at most {most:.1%}",
            received=f"{share:.1%} of {every}",
            kept=share <= most,
            problem=f"too many images were set aside: {top}",
        ),
        Rule(
            name="Images of each class",
            expected=f"at least {least} of each of {', '.join(counts)}",
            received=", ".join(short) or f"{smallest} or more",
            kept=not short,
            problem="classes have too few images",
        ),
    )
