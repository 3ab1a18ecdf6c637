"""`leukoflow inspect` prints a table or JSON and exits by the verdict."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.sample.archive import write_archive
from pipeline.sample.cells import CLASSES

KEYS = (
    "classes cells groups duplicates ignored skipped quarantined proposals would_train why".split()
)


@pytest.fixture
def inspect(
    run_command: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Run `leukoflow inspect` with a config of drawn cells, without a store."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STORE_URI", raising=False)
    config = tmp_path / "cells.yaml"
    contract = {"name": "cells", "classes": list(CLASSES)}
    body = {"contract": contract, "validation": {"min_images_per_class": 4}}
    config.write_text(yaml.safe_dump(body))
    write_archive(tmp_path / "drawn.zip", seed=3, cells_per_class=4, copies=1)

    def run(*words: str) -> int:
        return run_command("inspect", *words, "--config", str(config))

    return run


def test_json_is_all_that_is_printed(
    inspect: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0 for an archive that would train; the report is written on request."""
    report = tmp_path / "report.html"
    assert inspect(str(tmp_path / "drawn.zip"), "--json", "--html", str(report)) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == KEYS
    assert result["would_train"]
    assert "<!doctype html>" in report.read_text()


def test_a_refused_archive_exits_with_two(
    inspect: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table has the files' names as they are, the verdict its reasons."""
    with zipfile.ZipFile(tmp_path / "drawn.zip", "a") as archive:
        for number in range(9):
            archive.writestr(f"slide [b]/{number}.jpeg", b"\xff\xd8\xff broken %d" % number)
    assert inspect(str(tmp_path / "drawn.zip")) == 2
    output = capsys.readouterr().out
    assert "slide [b]" in output
    assert "This would train: no, because" in output
    assert "- too many images are quarantined" in output


def test_a_verdict_without_cells_says_so(
    inspect: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--no-cells` needs seconds, and cannot know whether the split would succeed."""
    assert inspect(str(tmp_path / "drawn.zip"), "--no-cells") == 0
    assert "yes, unless it has too few cells: they were not searched" in capsys.readouterr().out
