"""The command line: help, output and exit codes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from pipeline.adapters.pointer_store import PointerStore
from pipeline.artifacts import Artifact, VerdictManifest
from pipeline.digests import canonical_json
from pipeline.run_context import RunContext
from pipeline.steps.promotion.verdict import Check, GateVerdict
from tests.unit.steps.promotion.promotion_harness import PromotionHarness

if TYPE_CHECKING:
    from tests.conftest import Stage

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("tensorflow", "keras", "mlflow", "bentoml", "evidently", "pandas", "openvino", "airflow")
COMMANDS = (
    "up down status demo run ingest validate group split featurize train export evaluate gate "
    "promote rollback shadow repair history retrain predict weights image keys"
).split()


@pytest.fixture
def leukoflow(
    run_command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    stage: "Stage",
    tmp_path: Path,
) -> Callable[..., int]:
    """Run a command in an empty home with a local store; returns the exit code."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STORE_URI", str(stage.root))
    monkeypatch.setenv("SERVICE_URL", "http://service.test")
    monkeypatch.delenv("MODEL_NAME", raising=False)

    return run_command


def test_help_lists_the_commands_and_loads_no_heavy_library(tmp_path: Path) -> None:
    """`--help` does not import TensorFlow and writes no file."""
    code = (
        "import sys\n"
        "from pipeline.cli import main\n"
        "sys.argv = ['leukoflow', '--help']\n"
        "try:\n    main()\n"
        f"finally:\n    print(*set(sys.modules) & set({HEAVY!r}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    listed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("│ ")}
    assert set(COMMANDS) <= listed
    assert done.stderr.strip() == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(
    leukoflow: Callable[..., int], capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """Every command has a help text."""
    assert leukoflow(command, "--help") == 0
    assert "." in capsys.readouterr().out.split("Options")[0]


def test_a_history_without_moves_is_empty(
    leukoflow: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0, and valid JSON."""
    assert leukoflow("history", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_history_shows_author_and_reason_of_each_move(
    leukoflow: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    stage: "Stage",
    tmp_path: Path,
) -> None:
    """One row per move, as a table and as JSON."""
    pointer = stage.point_to(stage.publish(tmp_path / "bundle"))
    assert leukoflow("history") == 0
    assert "promoted by test: a test" in capsys.readouterr().out
    assert leukoflow("history", "--json") == 0
    (move,) = json.loads(capsys.readouterr().out)
    assert (move["from_tag"], move["tag"], move["until"]) == ("", pointer.tag, None)


def test_gather_without_labels_reports_zero(
    leukoflow: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0, as text and as JSON."""
    assert leukoflow("gather") == 0
    assert "0 labels" in capsys.readouterr().out
    assert leukoflow("gather", "--json", "--min", "1") == 0
    assert json.loads(capsys.readouterr().out)["archive"] == ""


def test_approving_by_hand_needs_a_reason(
    leukoflow: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """An approval that outweighs a rollback records its reason in the ledger."""
    assert leukoflow("promote", "verdict", "--approve") == 2
    assert "--reason" in capsys.readouterr().err


def refused(stage: "Stage", folder: Path) -> Artifact[VerdictManifest]:
    check = Check(name="parity", value=0, threshold=1, passed=False, sentence="They agree.")
    verdict = GateVerdict(
        name="blood_cells", tag="blood_cells:1", champion=None, passed=False, checks=(check,)
    )
    folder.mkdir()
    (folder / "verdict.json").write_text(canonical_json(verdict.model_dump(mode="json")))
    manifest = VerdictManifest(
        name="blood_cells",
        tag="blood_cells:1",
        passed=False,
        **RunContext.now("test", "test").model_dump(),
    )
    return stage.artifacts.publish(folder, manifest)


def test_a_refused_promotion_is_exit_code_1(
    leukoflow: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    stage: "Stage",
    tmp_path: Path,
) -> None:
    """One line names the failed check; the refusal is recorded and `history` shows it."""
    verdict = refused(stage, tmp_path / "verdict")
    assert leukoflow("promote", verdict.uri) == 1
    assert capsys.readouterr().err == "error the gate refused blood_cells:1; received parity\n"
    assert stage.pointers.read() is None
    assert leukoflow("history") == 0
    assert "gate: the gate refused blood_cells:1; received parity" in capsys.readouterr().out


def test_promoting_the_champion_changes_nothing(
    leukoflow: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    stage: "Stage",
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The output is `unchanged`, the exit code 0, and the pointer does not move."""
    monkeypatch.setattr("pipeline.entrypoints.promotion.repair_if_possible", lambda _: None)
    harness = PromotionHarness(stage.artifacts, "demo")
    model = harness.model(1)
    harness.serve(model)
    assert leukoflow("promote", harness.judge(model)) == 0
    output = capsys.readouterr().out
    assert output.startswith("unchanged: the challenger is the champion (same bundle); demo:0")
    assert len(harness.pointers.history()) == 1


def test_the_verdict_names_the_model(
    leukoflow: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    stage: "Stage",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A demo's verdict moves the demo's pointer; another model's config is refused."""
    monkeypatch.setattr("pipeline.entrypoints.promotion.repair_if_possible", lambda _: None)
    harness = PromotionHarness(stage.artifacts, "demo")
    model = harness.model(1)
    verdict = harness.judge(model)
    assert leukoflow("promote", verdict, "--config", "configs/blood_cells.yaml", "--untracked") == 2
    output = " ".join(capsys.readouterr().err.split())
    assert "the config belongs to model blood_cells" in output
    assert output.endswith("expected a config whose contract.name is demo; received blood_cells")
    assert leukoflow("promote", verdict, "--untracked") == 0
    assert capsys.readouterr().out.strip() == model.uri
    assert [move.tag for move in harness.pointers.history()] == [model.manifest.tag]
    assert PointerStore(stage.artifacts.objects, stage.artifacts.root, "blood_cells").read() is None


def test_a_tag_names_the_model_to_roll_back(
    leukoflow: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    stage: "Stage",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No `--name` is needed; a different one is refused, with both names."""
    monkeypatch.setattr("pipeline.entrypoints.promotion.repair_if_possible", lambda _: None)
    harness = PromotionHarness(stage.artifacts, "demo")
    first, _ = (harness.serve(harness.model(number)) for number in range(2))
    assert leukoflow("rollback", first.tag, "--name", "blood_cells") == 2
    output = " ".join(capsys.readouterr().err.split())
    assert output.endswith("expected --name demo, or none; received blood_cells")
    assert leukoflow("rollback", first.tag) == 0
    assert capsys.readouterr().out.strip() == first.tag
    now = harness.pointers.read()
    assert now is not None
    assert (now.tag, now.kind) == (first.tag, "rollback")


def test_a_shadow_challenger_must_have_the_name(
    leukoflow: Callable[..., int], capsys: pytest.CaptureFixture[str], stage: "Stage"
) -> None:
    """The bundle names the model; a different `--name` is refused."""
    harness = PromotionHarness(stage.artifacts, "demo")
    model = harness.model(1)
    assert leukoflow("shadow", model.uri, "--name", "blood_cells") == 2
    assert "received a model of demo" in " ".join(capsys.readouterr().err.split())
    assert leukoflow("shadow", model.uri) == 0
    shadow = harness.pointers.shadow()
    assert shadow is not None
    assert shadow.tag == model.manifest.tag


def test_the_default_config_is_that_of_the_model_name(
    leukoflow: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step looks for configs/MODEL_NAME.yaml, unless --config names another file."""
    monkeypatch.setenv("MODEL_NAME", "absent_model")
    assert leukoflow("validate", "no/such/snapshot") == 2
    assert "configs/absent_model.yaml" in capsys.readouterr().err
    assert leukoflow("validate", "no/such/snapshot", "--config", "configs/demo.yaml") == 2
    assert "absent_model" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-command"],
        ["run"],
        ["history", "--limit", "many"],
        ["run", "--archive", "absent.zip"],
        ["ingest", "absent.zip"],
        ["validate", "no/such/snapshot"],
        ["validate", "x", "--config", "configs/absent.yaml"],
        ["group", "--archive", "absent.zip", "--out", "groups.csv"],
        ["rollback"],
        ["rollback", "x:1"],
        ["shadow"],
        ["shadow", "absent"],
        ["predict", "absent.jpeg"],
    ],
    ids=" ".join,
)
def test_bad_usage_or_input_is_exit_code_2(
    leukoflow: Callable[..., int], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """The error is on stderr, without a traceback."""
    assert leukoflow(*words) == 2
    output = capsys.readouterr().err
    assert output
    assert "Traceback" not in output


def test_an_unreachable_service_is_exit_code_3(
    leukoflow: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The error names the address."""

    def refuse(*_: object, **__: object) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    monkeypatch.setattr(httpx.Client, "send", refuse)
    (tmp_path / "cell.jpeg").write_bytes(b"")
    assert leukoflow("predict", str(tmp_path / "cell.jpeg")) == 3
    assert "http://service.test" in capsys.readouterr().err
