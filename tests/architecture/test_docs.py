"""What is written down is true: links lead somewhere, commands exist."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest

from bento_service.http import middleware
from bento_service.http.bodies import BODIES
from bento_service.http.schemas import REQUEST_ID, FeedbackRequest
from bento_service.inference import multi_image, work_queue
from bento_service.inference.differential import MIN_CELLS
from pipeline.embedded.parts import commands
from pipeline.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted({ROOT / "README.md", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
PROMISED = set(
    "demo up down status check test lint bench scoreboard image env cluster clean help".split()
)


def test_the_readme_is_short() -> None:
    """At most 150 lines: what it is, how to run it, where the rest is."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """Files, folders and pictures that a page names are in the checkout."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    broken = [
        link
        for link in links
        if not re.match(r"[a-z]+:", link) and not (page.parent / link).exists()
    ]
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_of_a_page_exists(page: Path) -> None:
    """`make X` in code is a target of the Makefile."""
    code = re.findall(r"```.*?```|`[^`\n]+`", page.read_text(), re.S)
    named = {target for part in code for target in re.findall(r"\bmake ([a-z]+)", part)}
    assert named <= TARGETS


def test_the_makefile_keeps_its_promises() -> None:
    """The targets others rely on are there, each with its line in `make help`."""
    text = (ROOT / "Makefile").read_text()
    assert set(re.findall(r"^([a-z]+):.*## ", text, re.M)) == PROMISED


def test_the_makefile_installs_the_uv_of_the_lock() -> None:
    """Else each `make env` would bring one uv and replace it by another."""
    lock = (ROOT / "requirements.txt").read_text()
    made = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.M)
    assert made
    assert f"\nuv=={made[1]} " in lock


def test_the_changelog_has_what_is_not_released_yet() -> None:
    """In the form of Keep a Changelog."""
    text = (ROOT / "CHANGELOG.md").read_text()
    assert text.startswith("# Changelog\n")
    assert "\n## [Unreleased]\n" in text


@pytest.mark.parametrize(("part", "line"), sorted(commands().items()))
def test_every_procfile_line_can_start(part: str, line: str) -> None:
    """Its program is installed, and its module, if it names one, is in the checkout."""
    program, *words = line.split()
    assert shutil.which(program, path=str(Path(sys.executable).parent)), program
    module = re.search(r"-m (\S+)|serve (\S+):", " ".join(words))
    if module:
        assert importlib.util.find_spec(module[1] or module[2])


def test_the_limits_in_the_api_page_are_those_of_the_service() -> None:
    """Numbers under "Limits", timeouts and lengths in docs/api.md equal the code's constants."""
    api = (ROOT / "docs" / "api.md").read_text()
    section = api.partition("## Limits")[2].partition("\n## ")[0]
    differential = BODIES["/differential"]
    body = middleware.MAX_BODY_BYTES // 1_000_000
    assert [int(number) for number in re.findall(r"\b\d+\b", section)] == [
        body,
        differential.size_factor * body,
        differential.max_files,
        work_queue.THREADS + work_queue.QUEUE_SLOTS,
        work_queue.THREADS,
        work_queue.QUEUE_SLOTS,
        middleware.MAX_BUFFERED_BYTES // 1_000_000,
        429,
    ]
    defaults = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    named = re.findall(r"`([A-Z_]+)` \((\d+)\)", api)
    assert named
    assert {name: float(value) for name, value in named} == {n: defaults[n] for n, _ in named}
    assert f"or a differential longer than {multi_image.TIMEOUT_S:.0f} s" in api
    assert f"Up to {differential.max_files} files in one request" in api
    assert f"Fewer than {MIN_CELLS} cells" in api
    reviewer = FeedbackRequest.model_json_schema()["properties"]["reviewer"]
    assert f"1 to {reviewer['maxLength']} printable characters" in api
    lengths = re.search(r"\{(\d+),(\d+)\}$", REQUEST_ID)
    assert lengths
    assert f"if it has {lengths[1]} to {lengths[2]} letters" in api
