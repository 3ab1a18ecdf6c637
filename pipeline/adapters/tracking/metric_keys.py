"""Keys of metrics that MLflow accepts, whatever the names of the classes."""

import posixpath
import re
from collections.abc import Iterable
from itertools import chain, count

_INVALID_IN_KEY = re.compile(r"[^\w .\-/]")
"""Letters that MLflow refuses in a metric's key, and `:`, which it refuses on Windows."""
_MAX_KEY_LENGTH = 250


def metric_keys(names: Iterable[str]) -> dict[str, str]:
    """Name of a metric to the key that MLflow accepts: cleaned, at most 250 letters, unique.

    A class may have any name, but MLflow refuses a whole batch for one key with a bracket, a comma
    or an unusual path.
    """
    keys: dict[str, str] = {}
    used: set[str] = set()
    for name in names:
        cleaned = _INVALID_IN_KEY.sub("_", name)
        if posixpath.normpath(cleaned) != cleaned:
            cleaned = cleaned.replace("/", "_")
        numbered = (f"{cleaned[: _MAX_KEY_LENGTH - 8]} {n}" for n in count(2))
        candidates = chain([cleaned[:_MAX_KEY_LENGTH]], numbered)
        keys[name] = next(key for key in candidates if key not in used)
        used.add(keys[name])
    return keys
