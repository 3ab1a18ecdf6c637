"""An Airflow for the tests of one module, with a database that is migrated once per session."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.embedded import airflow_home, preflight
from pipeline.embedded.environment import stack_variables
from pipeline.embedded.processes.temporary_parts import on_free_ports
from pipeline.settings import Settings
from tests.integration.shared import shared_folder


def _prepare(home: Path) -> Settings:
    settings = on_free_ports(home).model_copy(update={"store_uri": str(home / "store")})
    preflight.make_folders(home)
    airflow_home.write_passwords(settings)
    airflow_home.migrate(home, stack_variables(settings, os.environ))
    return settings


@pytest.fixture(scope="session")
def prepare_airflow(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Settings]:
    """Function that copies the migrated database to a home and returns the settings of its stack.

    The stack has free ports, a password and a local store; nothing runs yet.
    """
    migrated = airflow_home.folder(shared_folder(tmp_path_factory, "migrated", _prepare))

    def prepare(home: Path) -> Settings:
        shutil.copytree(migrated, airflow_home.folder(home))
        return _prepare(home)

    return prepare
