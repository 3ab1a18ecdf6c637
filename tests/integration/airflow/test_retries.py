"""Retries of a real task under the DAGs' default arguments."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.embedded.environment import stack_variables
from pipeline.embedded.parts import ROOT
from pipeline.settings import Settings

pytestmark = pytest.mark.integration

FAULTS = """
from datetime import timedelta

from _task_defaults import DEFAULT_ARGS
from airflow.sdk import dag, task

from pipeline.errors import UnreachableError

QUICK = DEFAULT_ARGS | {"retry_delay": timedelta(0), "retry_exponential_backoff": False}


@dag(schedule=None, default_args=QUICK | {"retries": 2})
def faults():
    @task
    def lookup():
        raise KeyError("a hash")

    @task
    def connection():
        raise UnreachableError("S3 does not respond")

    lookup()
    connection()


tested = faults()
if __name__ == "__main__":
    run = tested.test()
    tasks = run.get_task_instances()
    print(*sorted((one.task_id, one.try_number, str(one.state)) for one in tasks))
"""


def test_only_an_unreachable_service_is_retried(
    tmp_path: Path, prepare_airflow: Callable[[Path], Settings]
) -> None:
    """A KeyError fails its task at the first try; an unreachable store is tried three times."""
    variables = stack_variables(prepare_airflow(tmp_path / "home"), os.environ)
    real = variables["AIRFLOW__CORE__DAGS_FOLDER"]
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "faults.py").write_text(FAULTS)
    variables |= {"PYTHONPATH": f"{real}:{ROOT}", "AIRFLOW__CORE__DAGS_FOLDER": str(folder)}

    def python(*arguments: str) -> list[str]:
        result = subprocess.run(
            [sys.executable, *arguments], env=variables, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout.splitlines()

    python("-m", "airflow", "dags", "reserialize")
    last = python(str(folder / "faults.py"))[-1]
    assert last == "('connection', 3, 'failed') ('lookup', 1, 'failed')"
