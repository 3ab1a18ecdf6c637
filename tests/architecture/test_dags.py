"""Structure, order, retries and documentation of the DAGs."""

import os
import shutil
import ssl
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pipeline.dag_ids import DEPLOYMENT, INGESTION, MONITORING, TRAINING
from pipeline.errors import (
    BucketError,
    ConflictError,
    InvalidInputError,
    MissingArtifactError,
    TrackingError,
    UnreachableError,
)

DAGS = Path(__file__).parents[2] / "dags"
FILES = sorted(DAGS.glob("blood_cell_*.py"))
HEAVY = (
    *("tensorflow", "keras", "mlflow", "bentoml", "evidently", "pandas", "boto3"),
    *("pipeline.entrypoints", "pipeline.adapters", "monitoring"),
)


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The DAGs by id, imported as Airflow does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        patch.syspath_prepend(DAGS)
        return {path.stem: getattr(import_module(path.stem), path.stem)() for path in FILES}


def test_parsing_the_dags_loads_no_heavy_library(tmp_path: Path) -> None:
    """The scheduler parses the DAGs every few seconds."""
    code = (
        f"import sys, {', '.join(path.stem for path in FILES)}\n"
        f"print(*[name for name in sys.modules if name.startswith({HEAVY!r})])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(DAGS), "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


def test_every_dag_is_named_after_its_file(dags: dict[str, Any]) -> None:
    """The id in Airflow's grid is the file to open."""
    assert dags.keys() == {TRAINING, INGESTION, MONITORING, DEPLOYMENT}
    assert {name: dag.dag_id for name, dag in dags.items()} == {name: name for name in dags}


def test_every_dag_has_a_runbook_in_its_doc(dags: dict[str, Any]) -> None:
    """Its page says what to do when it fails; it has one active run and no catchup."""
    for dag in dags.values():
        assert "## When it fails" in dag.doc_md
        assert dag.max_active_runs == 1
        assert not dag.catchup
        assert dag.tags


def test_every_task_has_a_timeout_and_retries_with_backoff(dags: dict[str, Any]) -> None:
    """No task hangs for ever, or fails because of a short outage."""
    for task in (task for dag in dags.values() for task in dag.tasks):
        assert task.execution_timeout, task.task_id
        assert task.retries >= 1, task.task_id
        assert task.retry_exponential_backoff, task.task_id


@pytest.mark.parametrize(
    ("fault", "action"),
    [
        (KeyError("a hash"), "fail"),
        (IndexError(), "fail"),
        (ValueError(), "fail"),
        (TypeError(), "fail"),
        (ZeroDivisionError(), "fail"),
        (NotImplementedError(), "fail"),
        (ModuleNotFoundError(), "fail"),
        (InvalidInputError("a bad archive"), "fail"),
        (MissingArtifactError("no such artefact"), "fail"),
        (BucketError("bucket x does not exist"), "fail"),
        (TrackingError("MLflow refuses"), "fail"),
        (UnreachableError("S3 does not respond"), "retry"),
        (ConflictError("another run was faster"), "retry"),
        (ConnectionResetError(), "retry"),
        (TimeoutError(), "retry"),
        (ssl.SSLCertVerificationError(), "retry"),
        (RuntimeError("a library's own"), "default"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_only_transient_errors_are_retried(
    dags: dict[str, Any], fault: Exception, action: str
) -> None:
    """The retry policy of every task; `default` is Airflow's own rule, which retries."""
    for task in (task for dag in dags.values() for task in dag.tasks):
        decision = task.retry_policy.evaluate(fault, 1, task.retries)
        assert decision.action.value == action, task.task_id


def test_every_task_of_a_runbook_exists(dags: dict[str, Any]) -> None:
    """The runbook names no task that was renamed or removed."""
    for dag in dags.values():
        advice = dag.doc_md.partition("## When it fails")[2]
        named = {
            word.strip("* ,")
            for line in advice.splitlines()
            if line.startswith("- **") and "S3" not in line.partition(":")[0]
            for word in line[2:].partition(":")[0].split(",")
        }
        assert named <= set(dag.task_ids)


def test_a_file_in_a_subfolder_is_not_a_dag(tmp_path: Path) -> None:
    """Otherwise MLflow could be made to write code to `dags/<run id>/artifacts/`."""
    from airflow.utils.file import list_py_file_paths

    shutil.copytree(DAGS, tmp_path / "dags")
    planted = tmp_path / "dags" / "0123" / "artifacts" / "planted.py"
    planted.parent.mkdir(parents=True)
    shutil.copy(tmp_path / "dags" / "blood_cell_training.py", planted)
    found = {Path(path).name for path in list_py_file_paths(tmp_path / "dags")}
    assert found == {path.name for path in FILES}


def test_promotion_comes_after_evaluation_gate_and_approval(dags: dict[str, Any]) -> None:
    """And runs only if all tasks before it succeeded."""
    training = dags[TRAINING]
    before = training.get_task("promote").get_flat_relative_ids(upstream=True)
    assert {"validate", "split", "evaluate", "gate", "approve", "record_decision"} <= before
    assert training.get_task("promote").trigger_rule == "all_success"


def test_the_image_is_built_after_the_smoke_test(dags: dict[str, Any]) -> None:
    """Of a Bento whose golden images were replayed."""
    image = dags[DEPLOYMENT].get_task("image")
    assert {"build", "smoke"} <= image.get_flat_relative_ids(upstream=True)


def test_the_request_is_closed_last_and_decides_the_run(dags: dict[str, Any]) -> None:
    """A teardown runs after failure and cancellation, and its own failure fails the run."""
    close = dags[TRAINING].get_task("close_request")
    assert close.is_teardown
    assert close.on_failure_fail_dagrun
    assert not close.downstream_task_ids
    assert "promote" in close.upstream_task_ids


def test_the_watermark_moves_only_after_the_run_exists(dags: dict[str, Any]) -> None:
    """After a crash in between, the trigger is repeated with the same run id."""
    ingestion = dags[INGESTION]
    assert "start_training" in ingestion.get_task("mark_seen").upstream_task_ids
    started = ingestion.get_task("start_training").partial_kwargs
    assert started["skip_when_already_exists"] is True
    assert started["trigger_dag_id"] in dags


def test_a_decision_is_published_before_it_starts_its_one_run(dags: dict[str, Any]) -> None:
    """Clearing the task starts no second run: the run id is the decision's."""
    request = dags[MONITORING].get_task("request_retrain")
    assert {"decide", "publish"} <= request.get_flat_relative_ids(upstream=True)
    assert request.skip_when_already_exists is True
    assert request.trigger_dag_id in dags


def test_the_default_config_is_that_of_model_name(dags: dict[str, Any]) -> None:
    """Also for the weekly run, which has no form; no DAG file names a model."""
    for name in (TRAINING, DEPLOYMENT):
        assert dags[name].params["config"] is None
    assert dags[MONITORING].params["config"] == "configs/monitoring.yaml"
