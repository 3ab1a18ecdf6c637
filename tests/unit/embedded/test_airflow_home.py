"""Locking of Airflow's SQLite database, which five processes share."""

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from pipeline.embedded import airflow_home
from pipeline.settings import Settings


@pytest.mark.slow
def test_a_process_waits_while_another_writes(tmp_path: Path) -> None:
    """A writer waits longer than SQLite's default of five seconds."""
    settings = Settings(leukoflow_home=tmp_path)
    airflow_home.folder(tmp_path).mkdir(parents=True)
    address = airflow_home.environment(settings)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE runs (name TEXT)"))

    path = airflow_home.folder(tmp_path) / "airflow.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(7, other.rollback).start()
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO runs VALUES ('first')"))
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM runs")).scalar() == 1
    other.close()
    engine.dispose()
