"""Texts of users are printed as they are: no bracket is markup, no colon an emoji."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.table import Table
from rich.text import Text

from pipeline.cli.options import plain_console
from pipeline.demo.summary import table
from tests.architecture.source_tree import ROOT

if TYPE_CHECKING:
    from tests.conftest import Stage

pytestmark = pytest.mark.field("bracketed [names]")

NAME = "slide [a] [/b] [bold]x[/] :bomb: [red]"


def test_tables_lines_and_titles_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    """Also in the summary of the demo."""
    rendered = Table(title=NAME, caption=NAME)
    rendered.add_row(NAME, Text(NAME, "red"))
    console = plain_console(width=200)
    for part in (rendered, NAME, table([("archive", NAME)], 3)):
        console.print(part)
    assert capsys.readouterr().out.count(NAME) == 6


def test_a_message_repeats_the_name(
    run_command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On one line, however long."""
    monkeypatch.setenv("STORE_URI", str(tmp_path / "store"))
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    for words in (
        ("ingest", f"{NAME}.zip"),
        ("predict", f"{NAME}.jpg"),
        ("group", "--archive", NAME),
    ):
        assert run_command(*words) == 2
        assert NAME in capsys.readouterr().err


def test_the_history_shows_reasons_with_brackets(
    stage: "Stage",
    run_command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A person wrote them."""
    monkeypatch.setenv("STORE_URI", str(stage.root))
    served = stage.point_to(stage.publish(tmp_path / "bundle"))
    stage.pointers.move(served.model_copy(update={"reason": NAME}), served)
    assert run_command("history", "--name", "blood_cells") == 0
    assert NAME in " ".join(capsys.readouterr().out.split())


def test_no_other_console_of_the_product_reads_markup() -> None:
    """`rich.Console()` reads it by default; a silent console prints nothing."""
    made = {
        f"{path.relative_to(ROOT)}: {call}"
        for folder in ("pipeline", "monitoring", "bento_service")
        for path in (ROOT / folder).rglob("*.py")
        for call in re.findall(r"\bConsole\(.*", path.read_text())
    }
    assert made == {
        "pipeline/cli/options.py: Console(stderr=stderr, width=width, markup=False, emoji=False)",
        "pipeline/embedded/processes/temporary_parts.py: Console(quiet=True)",
    }
