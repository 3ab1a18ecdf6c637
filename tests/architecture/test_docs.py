"""What is written down is true: links lead somewhere, commands exist."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from bento_service import __main__ as service_supervisor
from bento_service import worker_state
from bento_service.http import api_key_check, errors, middleware
from bento_service.http.bodies import BODIES
from bento_service.http.schemas import REQUEST_ID, FeedbackRequest
from bento_service.inference import model_loading, multi_image, pointer_follower, work_queue
from bento_service.inference.differential import MIN_CELLS
from bento_service.prediction_log import uploader
from bento_service.process import graceful_shutdown
from pipeline.adapters.tracking import runs as mlflow_runs
from pipeline.config.data_gate_limits import DataGateConfig
from pipeline.embedded import credentials, ports, seaweedfs_access
from pipeline.embedded.parts import PARTS, commands
from pipeline.errors import DiskFullError, InvalidInputError, UnreachableError
from pipeline.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
SECURITY = (ROOT / "docs" / "security.md").read_text()
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
        work_queue.THREADS + work_queue.OVERLOAD_QUEUE_SLOTS,
        work_queue.OVERLOAD_QUEUE_SLOTS,
        middleware.MAX_BUFFERED_BYTES // 1_000_000,
        middleware.MAX_BUFFERED_BYTES // 2_000_000,  # see `ServiceMiddleware._read`
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


def test_the_numbers_in_the_runbook_are_those_of_the_code() -> None:
    """Every number on the page, in order, except the 5 of the example `gather --min 5`."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    monitoring = yaml.safe_load((ROOT / "configs" / "monitoring.yaml").read_text())
    answer_seconds = Settings.model_fields["answer_seconds"]
    unreadable = api_key_check._unreadable().status
    page = RUNBOOK.replace("gather --min 5", "")
    assert [float(number) for number in re.findall(r"\b\d+\b", page)] == [
        InvalidInputError.exit_code,
        DiskFullError.exit_code,
        errors.no_model().status,
        errors.store_unreadable(UnreachableError("")).status,
        unreadable,
        unreadable,
        uploader.MAX_PENDING_BYTES / 1e9,
        model_loading.LOAD_TIMEOUT_S,
        pointer_follower.RETRY_S,
        1 + worker_state._MAX_STALL,  # the threads stall once they exceed the request timeout
        *(limit.le for limit in answer_seconds.metadata if hasattr(limit, "le")),
        *sorted(service_supervisor.START_FAILED),
        graceful_shutdown.MAX_SHUTDOWN_S,
        float(compose["services"]["service"]["stop_grace_period"].removesuffix("s")),
        1,  # max_active_runs, checked in test_dags.py
        mlflow_runs._MAX_TRAINING_MS / 3_600_000,
        monitoring["gather"]["min_labels"],
        100 * DataGateConfig().max_quarantined_share,
    ]


def test_the_messages_in_the_runbook_are_those_of_the_code() -> None:
    """Each quoted message is a text in the sources; "..." stands for a value."""
    folders = ("bento_service", "pipeline", "monitoring", "dags")
    sources = "".join(p.read_text() for name in folders for p in (ROOT / name).rglob("*.py"))
    sources = re.sub(r'"\s+f?"', "", sources)  # adjacent literals
    messages = re.findall(r'"([^"{}]+)"', re.sub(r"`[^`]*`", "", RUNBOOK).partition("\n## ")[2])
    assert len(messages) == 22
    for message in messages:
        for text in message.split("..."):
            assert text.strip() in sources, message


def test_the_ports_in_the_security_page_are_those_of_the_stack() -> None:
    """One row for each port that the stack opens at its default addresses."""
    settings = Settings(
        aws_endpoint_url_s3=credentials.S3_URL,
        **{
            name: Settings.model_fields[name].default
            for name in ("mlflow_tracking_uri", "airflow_url", "service_url", "reports_url")
        },
    )
    numbers = [number for part in PARTS for number in ports.variables(part, settings).values()]
    assert [int(row) for row in re.findall(r"^\| (\d+) \|", SECURITY, re.M)] == numbers


def test_the_modes_in_the_security_page_are_those_of_the_files(tmp_path: Path) -> None:
    """`stack.env` and the folder of the object store have the modes of the table."""
    home = tmp_path / ".leukoflow"
    seaweedfs_access.write_access_files(credentials.prepare(Settings(leukoflow_home=home)))
    rows = re.findall(r"^\| `\.leukoflow/([^`]+)` \| (\d+) \|", SECURITY, re.M)
    assert [name for name, _ in rows] == ["stack.env", "object-store/"]
    for name, mode in rows:
        assert f"{(home / name).stat().st_mode & 0o777:o}" == mode
