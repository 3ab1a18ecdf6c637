"""The note on the page of an Airflow run, which shows a run's outcome."""

import logging

from pipeline.adapters.airflow import AirflowClient
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.settings import load_settings

log = logging.getLogger(__name__)


def write_note(dag_id: str, run_id: str, text: str) -> None:
    """Replace the note of a run; a warning in the log if Airflow is unreachable or refuses."""
    try:
        AirflowClient(load_settings()).note(dag_id, run_id, text)
    except (UnreachableError, InvalidInputError) as error:
        # Without a login of this task, only the task's log has the text.
        log.warning("the run's page has no note: %s", error)
