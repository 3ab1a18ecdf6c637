"""docs/architecture.md shows the code as it is: rooms, walks, files and names."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.source_tree import ROOT, imported, modules

PAGE = (ROOT / "docs" / "architecture.md").read_text()
DAGS = ROOT / "dags"
ARROW = re.compile(r"^ *(\w+) --> (\w+)$", re.M)


def section(title: str) -> str:
    """Text of one section of the page."""
    text = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert text, title
    return text


def arrows(title: str) -> set[tuple[str, str]]:
    """Arrows of a section's Mermaid picture."""
    return {(start, end) for start, end in ARROW.findall(section(title))}


def room_of(module: str) -> str | None:
    """Room that the picture draws for a module; None for the settled modules of `pipeline`."""
    package, *below = module.split(".")
    if package != "pipeline":
        return package if package in ("bento_service", "monitoring", "dags") else None
    return below[0] if below and (ROOT / "pipeline" / below[0]).is_dir() else None


def room_imports() -> set[tuple[str, str]]:
    """Pairs of rooms of which the first imports the second."""
    files = [
        (name, path)
        for package in ("pipeline", "bento_service", "monitoring", "dags")
        for name, path in modules(package)
    ]
    pairs = {(room_of(name), room_of(other)) for name, path in files for other in imported(path)}
    return {(a, b) for a, b in pairs if a and b and a != b}


def reachable(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Transitive closure of a relation."""
    closed = set(pairs)
    while more := {(a, d) for a, b in closed for c, d in closed if b == c} - closed:
        closed |= more
    return closed


def test_the_picture_of_rooms_has_the_imports_of_the_code() -> None:
    """Each arrow is an import, and each import follows one or more arrows."""
    drawn, real = arrows("Rooms"), room_imports()
    assert drawn <= real
    assert real <= reachable(drawn)


def tasks(dag_id: str, tmp_path: Path) -> set[tuple[str, str]]:
    """Arrows between the tasks of a DAG, as Airflow reads it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path))
        patch.syspath_prepend(DAGS)
        dag: Any = getattr(import_module(dag_id), dag_id)()
    return {(task.task_id, below) for task in dag.tasks for below in task.downstream_task_ids}


@pytest.mark.parametrize(
    ("title", "dag_ids"),
    [
        ("From archive to prediction", ("blood_cell_training", "blood_cell_deployment")),
        ("From prediction to retrain", ("blood_cell_monitoring",)),
    ],
)
def test_a_walk_shows_every_task_in_its_order(
    title: str, dag_ids: tuple[str, ...], tmp_path: Path
) -> None:
    """An arrow between two tasks is one of the DAG, and every task of the DAG is drawn."""
    real = {pair for dag_id in dag_ids for pair in tasks(dag_id, tmp_path)}
    names = {name for pair in real for name in pair}
    drawn = arrows(title)
    assert names <= {name for pair in drawn for name in pair}
    assert {pair for pair in drawn if set(pair) <= names} <= reachable(real)


def rows(title: str) -> list[list[str]]:
    """Cells of the table of a section, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_files_to_open_exist_and_have_the_names() -> None:
    """At least 25 changes, each with one or two files to open."""
    table = rows("To change this, open that")
    assert len(table) >= 25
    for change, files, names in table:
        paths = [ROOT / "docs" / link for link in re.findall(r"\]\(([^)]+)\)", files)]
        assert 1 <= len(paths) <= 2, change
        text = "\n".join(path.read_text() for path in paths)
        for name in re.findall(r"`([^`]+)`", names):
            assert re.search(rf"\b{re.escape(name)}\b", text), (change, name)


def test_glossary_terms_stand_in_the_files_that_define_them() -> None:
    """Each term links to the file where it becomes code, and names what to look for there."""
    table = rows("Glossary")
    assert len(table) >= 20
    for term, _, where in table:
        (link,) = re.findall(r"\]\(([^)]+)\)", where)
        (name,) = re.findall(r"`([^`]+)`", where)
        text = (ROOT / "docs" / link).read_text()
        assert re.search(rf"\b{re.escape(name)}\b", text), (term, name)
