"""Parts of the one lock: what an extra needs, at exactly the locked versions and hashes.

Runs on the standard library alone, so that a Dockerfile can call it before anything is installed:
`python -m pipeline.adapters.requirements serve > requirements.txt`. The result is meant for
`pip install --no-deps --require-hashes`: the lock already resolved everything.
"""

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import InvalidInputError

ROOT = Path(__file__).resolve().parents[2]
_PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def subset(lock: str, roots: Iterable[str]) -> str:
    """The lock's entries for some packages and for everything they were locked for.

    Dependencies are read from the `# via` comments that `uv pip compile` writes. These do not say
    which extra of a package asked, so a few small packages more than needed may come along.

    Args:
        lock: a requirements.txt compiled with annotations.
        roots: names of packages.

    Raises:
        InvalidInputError: when the lock has no entry for one of them.
    """
    entries = _entries(lock)
    parents = {name: _parents(entry) for name, entry in entries.items()}
    wanted: set[str] = set()
    added = {_normal(name) for name in roots}
    while added:
        wanted |= added
        added = {name for name in entries if parents[name] & added} - wanted
    if unknown := wanted - set(entries):
        raise InvalidInputError(
            "the lock lacks packages",
            expected="requirements.txt compiled from this pyproject.toml",
            received=", ".join(sorted(unknown)),
        )
    return "".join(_pins(entries[name]) for name in sorted(wanted))


def roots_of(pyproject: str, extras: Iterable[str]) -> list[str]:
    """Names of the packages that a project and some of its extras ask for themselves.

    Raises:
        InvalidInputError: when an extra is not declared.
    """
    project = tomllib.loads(pyproject)["project"]
    declared: dict[str, list[str]] = project["optional-dependencies"]
    asked = list(project["dependencies"])
    for extra in extras:
        if extra not in declared:
            raise InvalidInputError(
                "no such extra", expected=", ".join(sorted(declared)), received=extra
            )
        asked += declared[extra]
    return [match[0] for line in asked if (match := _NAME.match(line))]


def locked(extras: Iterable[str], root: Path = ROOT) -> str:
    """The lock of this checkout, cut down to the base dependencies and some extras."""
    roots = roots_of((root / "pyproject.toml").read_text(), extras)
    return subset((root / "requirements.txt").read_text(), roots)


def _entries(lock: str) -> dict[str, str]:
    """Name to text; a package locked twice, for two Pythons, has both in one text."""
    entries: dict[str, str] = {}
    name = ""
    for line in lock.splitlines(keepends=True):
        if match := _PINNED.match(line):
            name = _normal(match[1])
        if name:
            entries[name] = entries.get(name, "") + line
    return entries


def _parents(entry: str) -> set[str]:
    """Whom an entry was locked for; `leukoflow (pyproject.toml)` is no package of the lock."""
    comments = (line.partition("#")[2].strip() for line in entry.splitlines())
    names = (comment.removeprefix("via").strip() for comment in comments)
    return {_normal(name) for name in names if _NAME.fullmatch(name)}


def _pins(entry: str) -> str:
    """An entry without its comments."""
    lines = entry.splitlines(keepends=True)
    return "".join(line for line in lines if not line.lstrip().startswith("#"))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.stdout.write(locked(sys.argv[1:]))
