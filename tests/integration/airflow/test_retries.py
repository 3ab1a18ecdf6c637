"""A real task run under the DAGs' defaults: which faults are tried again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.embedded import airflow_home, preflight
from pipeline.embedded.environment import stack_variables
from pipeline.embedded.parts import ROOT
from pipeline.embedded.processes.foreground import on_free_ports

pytestmark = pytest.mark.integration

FAULTS = """
from datetime import timedelta

from _defaults import DEFAULT_ARGS
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
        raise UnreachableError("S3 does not answer")

    lookup()
    connection()


tested = faults()
if __name__ == "__main__":
    run = tested.test()
    tasks = run.get_task_instances()
    print(*sorted((one.task_id, one.try_number, str(one.state)) for one in tasks))
"""


def test_a_fault_of_the_program_is_not_tried_again(tmp_path: Path) -> None:
    """A KeyError fails its task at once; an unreachable store is asked again, twice here."""
    home = tmp_path / "home"
    own = on_free_ports(home).model_copy(update={"store_uri": str(home / "store")})
    preflight.make_folders(home)
    airflow_home.write_passwords(own)
    airflow_home.migrate(home, stack_variables(own, {}))
    variables = stack_variables(own, os.environ)
    real = variables["AIRFLOW__CORE__DAGS_FOLDER"]
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "faults.py").write_text(FAULTS)
    variables |= {"PYTHONPATH": f"{real}:{ROOT}", "AIRFLOW__CORE__DAGS_FOLDER": str(folder)}

    def python(*arguments: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, *arguments], env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    python("-m", "airflow", "dags", "reserialize")
    last = python(str(folder / "faults.py"))[-1]
    assert last == "('connection', 3, 'failed') ('lookup', 1, 'failed')"
