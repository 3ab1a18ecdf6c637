"""Size and description of each folder."""

import ast
from collections import Counter

from tests.architecture.source_tree import PACKAGES, ROOT

SOURCES = ("pipeline", "bento_service", "monitoring", "benchmarks", "dags")
MAX_MODULES = 12


def test_no_folder_has_more_than_a_dozen_modules() -> None:
    """A folder is read at a glance; one that grows beyond is divided."""
    counts = Counter(
        str(path.parent.relative_to(ROOT))
        for package in (*SOURCES, "tests")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    )
    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES} == {}


def test_every_room_says_what_it_owns() -> None:
    """Its `__init__.py` has a docstring."""
    rooms = [path for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")]
    silent = [path for path in rooms if not ast.get_docstring(ast.parse(path.read_text()))]
    assert rooms
    assert silent == []
