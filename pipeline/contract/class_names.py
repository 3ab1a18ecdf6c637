"""Class names: the form in which they are compared, and the class that a near miss may mean."""

import unicodedata
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from itertools import groupby

MAX_LENGTH = 100
"""Characters of a class name, as in the body of `POST /feedback`."""
_MIN_SIMILARITY = 0.8
"""Ratio of `SequenceMatcher` from which a name is proposed; MONOCYTE and LYMPHOCYTE have 0.67."""
_MIN_PREFIX = 3
"""Letters from which an abbreviation is proposed."""


def canonical(name: str) -> str:
    """The form in which class names are compared; a name is never stored or shown in it.

    NFKC and case folded, without invisible characters; blanks, `_` and dashes between two letters
    or digits are one space, so that a dash at the end, as in `CD4-`, still counts.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    runs = groupby((c for c in folded if unicodedata.category(c) != "Cf"), _is_separator)
    parts = [(is_gap, "".join(run)) for is_gap, run in runs]
    return "".join(
        " " if is_gap and (text.isspace() or 0 < index < len(parts) - 1) else text
        for index, (is_gap, text) in enumerate(parts)
    ).strip()


def by_canonical(classes: Iterable[str]) -> dict[str, str]:
    """Canonical form to class; `canonical` of another name finds the class that it spells."""
    return {canonical(name): name for name in classes}


def match(name: str, classes: Iterable[str]) -> str | None:
    """The class that `name` spells, whatever its case and Unicode form; None if it is no class."""
    return by_canonical(classes).get(canonical(name))


def nearest(name: str, classes: Iterable[str], *, abbreviations: bool = True) -> str:
    """The class that a near miss may mean: a plural, a typo or an abbreviation; empty if none is.

    Two classes that are equally near give none. A proposal is for a person; nothing applies it.
    """
    form, similarity = canonical(name), _similarity if abbreviations else _ratio
    scores = {own: similarity(form, other) for other, own in by_canonical(classes).items()}
    best = max(scores.values(), default=0.0)
    names = [own for own, score in scores.items() if score == best]
    return names[0] if best >= _MIN_SIMILARITY and len(names) == 1 else ""


def nearest_classes(names: Iterable[str], classes: Iterable[str]) -> dict[str, str]:
    """Name to the class that it may mean, for the names that have one."""
    known = tuple(classes)
    found = {name: nearest(name, known) for name in names}
    return {name: own for name, own in found.items() if own}


def did_you_mean(name: str, classes: Iterable[str]) -> str:
    """`did you mean CLASS?` for a near miss, else empty."""
    own = nearest(name, classes)
    return f"did you mean {own}?" if own else ""


def require_distinct(classes: Iterable[str]) -> None:
    """Raise ValueError for a class without a letter, with a line break, too long or ambiguous."""
    seen: dict[str, str] = {}
    for name in classes:
        form = canonical(name)
        if not form:
            raise ValueError(f"class {name!r} has no visible character")
        if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs") for letter in name):
            raise ValueError(f"class {name!r} has a line break or another control character")
        if len(name) > MAX_LENGTH:
            raise ValueError(f"class {name!r} has more than {MAX_LENGTH} characters")
        if form in seen:
            raise ValueError(
                f"classes must be distinct: {seen[form]!r} and {name!r} differ at most in case, "
                "Unicode form, blanks, underscores or hyphens"
            )
        seen[form] = name


def respelt(classes: Iterable[str], others: Iterable[str]) -> Mapping[str, str]:
    """Class to the class of `others` that is the same name in another spelling."""
    known = by_canonical(others)
    pairs = {name: known.get(canonical(name), name) for name in classes}
    return {name: other for name, other in pairs.items() if other != name}


def _is_separator(letter: str) -> bool:
    return letter.isspace() or letter == "_" or unicodedata.category(letter) == "Pd"


def _similarity(one: str, other: str) -> float:
    """0 to 1; 0.9 or more if the shorter one, also without its plural's s, begins the longer."""
    short, long = sorted((one, other), key=len)
    stems = (stem for stem in (short, short.removesuffix("s")) if len(stem) >= _MIN_PREFIX)
    ratio = _ratio(one, other)
    return max(ratio, 0.9) if any(map(long.startswith, stems)) else ratio


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()
