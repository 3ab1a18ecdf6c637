"""The command `leukoflow doctor`: lines, JSON and exit codes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.doctor import report
from pipeline.doctor.finding import Finding, Subject, note, ok, problem, unreachable
from pipeline.errors import InvalidInputError

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def doctor(
    run_command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., int]:
    """Function that runs `leukoflow doctor` in an empty home, with only the checks given."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path))

    def run(*findings: Finding, words: tuple[str, ...] = ()) -> int:
        def check(_: Subject) -> Iterator[Finding]:
            yield from findings

        monkeypatch.setattr(report, "examine", lambda: [*check(Subject(None, {}))])  # type: ignore[arg-type]
        return run_command("doctor", *words)

    return run


def test_a_line_says_what_it_means_and_what_to_do(
    doctor: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Brackets are printed as they are, and a long line is not broken."""
    value = "a" * 200 + " [bold] [/nonsense]"
    assert doctor(ok("Python", "3.11"), problem("disk", value, "it is full", "free it")) == 2
    assert capsys.readouterr().out.splitlines() == [
        "ok      Python: 3.11",
        f"problem disk: {value}",
        "        means: it is full",
        "        do: free it",
    ]


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([ok("a", ""), note("b", "")], 0),
        ([ok("a", ""), problem("b", "", "", "")], 2),
        ([problem("b", "", "", ""), unreachable("c", "", "", "")], 3),
    ],
)
def test_the_exit_code_is_that_of_the_worst_finding(
    doctor: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    findings: list[Finding],
    code: int,
) -> None:
    """0 all is well, 2 input, 3 unreachable; the JSON has it too."""
    assert doctor(*findings, words=("--json",)) == code
    printed = json.loads(capsys.readouterr().out)
    assert (printed["ok"], printed["exit_code"]) == (code == 0, code)
    assert [check["name"] for check in printed["checks"]] == [finding.name for finding in findings]


def test_a_check_that_raises_is_a_finding(tmp_path: Path) -> None:
    """The others still run."""

    def broken(_: Subject) -> Iterator[Finding]:
        raise InvalidInputError("it is broken")
        yield

    def fine(_: Subject) -> Iterator[Finding]:
        yield ok("fine", "")

    subject = Subject(None, {})  # type: ignore[arg-type]
    first, second = report.run_checks(subject, [broken, fine])
    assert (first.name, first.exit_code, second.name) == ("broken", 2, "fine")


def test_settings_that_cannot_be_read_are_a_finding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The variable is named; the machine is still checked."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("BODY_SECONDS", "many")
    findings = report.examine({})
    assert "BODY_SECONDS" in findings[0].value
    assert {"Python", "disk"} <= {finding.name for finding in findings}
    monkeypatch.delenv("BODY_SECONDS")
    (tmp_path / "stack.env").write_bytes(b"\xff\xfe")
    assert report.examine({})[0].name == "settings"


def test_every_check_runs_on_a_bare_machine(
    run_command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without a stack, and without a store; nothing is written."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STORE_URI", raising=False)
    assert run_command("doctor", "--json") in (0, 2, 3)
    names = {check["name"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert {"home", "disk", "proxies", "store", "MLflow", "Airflow", "service"} <= names
    assert not (tmp_path / "home").exists()
