"""Airflow's CeleryExecutor imports with the locked versions and the Compose file's variables."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.containers.compose import ROOT, generate_passwords, read

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DAGS = ROOT / "dags"
_PROBE = """
import json, sys
from importlib import import_module
from airflow.executors.executor_loader import ExecutorLoader
from airflow.providers.celery.cli import celery_command
from airflow.providers.celery.executors.celery_executor import app
from celery.app.backends import by_url
dags = [getattr(import_module(name), name)() for name in sys.argv[1:]]
limits = [task.execution_timeout.total_seconds() for dag in dags for task in dag.tasks]
executor = ExecutorLoader.import_default_executor_cls()[0]
backend = by_url(app.conf.result_backend, app.loader)[0]  # an instance would connect
print(json.dumps([executor.__name__, backend.__name__, max(limits),
                  int(app.conf.broker_transport_options["visibility_timeout"])]))
"""


def test_airflow_can_run_its_tasks_on_celery(tmp_path: Path) -> None:
    """Executor, worker and result backend load; Redis redelivers no task that is still running."""
    worker = read(generate_passwords(tmp_path))["airflow-worker"]
    own = {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": f"{DAGS}:{ROOT}"}
    result = subprocess.run(
        [sys.executable, "-c", _PROBE, *(path.stem for path in DAGS.glob("blood_cell_*.py"))],
        env={**os.environ, **worker.environment, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    executor, backend, longest, visibility = json.loads(result.stdout.splitlines()[-1])
    assert (executor, backend) == ("CeleryExecutor", "DatabaseBackend")
    assert longest >= 12 * 3600
    assert visibility > longest
