"""Airflow's own folder: its settings, its password file, its database."""

import json
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from pipeline.embedded.credentials import replace_private
from pipeline.embedded.parts import ROOT
from pipeline.errors import UnreachableError
from pipeline.settings import Settings

_LOCK_SECONDS = 30
"""For which a process waits until another has written; SQLite's five are few for a busy machine."""


def folder(home: Path) -> Path:
    """AIRFLOW_HOME of a stack."""
    return home / "data" / "airflow"


def environment(settings: Settings) -> dict[str, str]:
    """Airflow's settings as variables; the secret ones come from `stack.env`."""
    home = settings.leukoflow_home
    url = settings.airflow_url.rstrip("/")
    return {
        "AIRFLOW_HOME": str(folder(home)),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        # A folder that nobody can make: a file that somebody has MLflow write is no plugin.
        "AIRFLOW__CORE__PLUGINS_FOLDER": "/dev/null",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # One heavy task, one light one, and room for a sensor, on two cores.
        "AIRFLOW__CORE__PARALLELISM": "3",
        # A finished task holds its slot until the next beat; five seconds is the default.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # Parsing waits its turn while a task trains; a busy machine is no broken DAG.
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "150",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{settings.airflow_user}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords(home)),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (
            f"sqlite:///{_database(home)}?timeout={_LOCK_SECONDS}"
        ),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs" / "airflow"),
    }


def write_passwords(settings: Settings) -> None:
    """Give the one user the generated password (SimpleAuthManager reads plain text, mode 600)."""
    users = {settings.airflow_user: settings.airflow_password.get_secret_value()}
    replace_private(_passwords(settings.leukoflow_home), json.dumps(users))


def migrate(home: Path, variables: Mapping[str, str]) -> bool:
    """Bring the database to the installed Airflow's schema; False when it already has it.

    Raises:
        UnreachableError: when Airflow refuses, naming the log.
    """
    stamp = folder(home) / "migrated"
    installed = version("apache-airflow-core")
    if stamp.is_file() and stamp.read_text() == installed:
        _read_while_writing(home)
        return False
    log = home / "logs" / "airflow-migrate.log"
    with log.open("w") as stream:
        done = subprocess.run(
            ["airflow", "db", "migrate"], env=variables, stdout=stream, stderr=stream, check=False
        )
    if done.returncode:
        raise UnreachableError(f"Airflow could not prepare its database; see {log}")
    _read_while_writing(home)
    stamp.write_text(installed)
    return True


def _read_while_writing(home: Path) -> None:
    """Five processes share the database: with a journal of the other kind, readers stop writers.

    SQLite keeps the other kind on a file system that cannot do this.
    """
    with closing(sqlite3.connect(_database(home))) as database:
        database.execute("PRAGMA journal_mode=WAL")


def _database(home: Path) -> Path:
    return folder(home) / "airflow.db"


def _passwords(home: Path) -> Path:
    return folder(home) / "passwords.json"
