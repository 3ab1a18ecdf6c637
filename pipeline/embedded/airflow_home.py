"""AIRFLOW_HOME of the embedded stack: settings, password file and SQLite database."""

import json
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from pipeline.adapters.storage.local import replace_file
from pipeline.embedded.parts import ROOT
from pipeline.errors import UnreachableError
from pipeline.settings import Settings

_LOCK_TIMEOUT_SECONDS = 30
"""Wait for SQLite's write lock; its default of 5 is too short on a busy machine."""


def folder(home: Path) -> Path:
    """Path of AIRFLOW_HOME."""
    return home / "data" / "airflow"


def environment(settings: Settings) -> dict[str, str]:
    """Airflow's settings as environment variables, without the secrets of `stack.env`."""
    home = settings.leukoflow_home
    url = settings.airflow_url.rstrip("/")
    return {
        "AIRFLOW_HOME": str(folder(home)),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        # Not a folder: a file that an MLflow client uploads can never be loaded as a plugin.
        "AIRFLOW__CORE__PLUGINS_FOLDER": "/dev/null",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # For two cores: one heavy task, one light task and a sensor.
        "AIRFLOW__CORE__PARALLELISM": "3",
        # A finished task occupies its slot until its next heartbeat; the default is 5 seconds.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # Parsing is slow while a task trains; a busy machine must not look like a broken DAG.
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "150",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{settings.airflow_user}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords(home)),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (
            f"sqlite:///{_database(home)}?timeout={_LOCK_TIMEOUT_SECONDS}"
        ),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs" / "airflow"),
    }


def write_passwords(settings: Settings) -> None:
    """Write the one user's password for SimpleAuthManager (plain text, mode 600)."""
    users = {settings.airflow_user: settings.airflow_password.get_secret_value()}
    replace_file(_passwords(settings.leukoflow_home), json.dumps(users).encode())


def migrate(home: Path, variables: Mapping[str, str]) -> bool:
    """Run `airflow db migrate` if Airflow's version is new, and enable WAL; True if it migrated.

    The file `migrated` holds Airflow's version, so that later starts skip the migration.

    Raises:
        UnreachableError: `airflow db migrate` failed; names its log.
    """
    stamp = folder(home) / "migrated"
    installed = version("apache-airflow-core")
    if stamp.is_file() and stamp.read_text() == installed:
        _enable_wal(home)
        return False
    log = home / "logs" / "airflow-migrate.log"
    with log.open("w") as stream:
        result = subprocess.run(
            ["airflow", "db", "migrate"], env=variables, stdout=stream, stderr=stream, check=False
        )
    if result.returncode:
        raise UnreachableError(f"`airflow db migrate` failed; see {log}")
    _enable_wal(home)
    stamp.write_text(installed)
    return True


def _enable_wal(home: Path) -> None:
    """Switch Airflow's database to SQLite's write-ahead log, which allows reads during a write.

    Without support of the file system, SQLite silently keeps its rollback journal.
    """
    with closing(sqlite3.connect(_database(home))) as database:
        database.execute("PRAGMA journal_mode=WAL")


def _database(home: Path) -> Path:
    return folder(home) / "airflow.db"


def _passwords(home: Path) -> Path:
    return folder(home) / "passwords.json"
