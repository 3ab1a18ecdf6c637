"""The end of a training run of Airflow: what its page says, and what MLflow says."""

import logging
from typing import TYPE_CHECKING

from pipeline.adapters.airflow import AirflowClient
from pipeline.entrypoints.tracked import end_training
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from pipeline.steps.promotion.promote import Outcome

log = logging.getLogger(__name__)


def close_training(
    config: str | None, dag_id: str, run_id: str, outcome: "Outcome", sentence: str
) -> None:
    """Note on a run's page how it ended; what failed is FAILED in MLflow too, also when killed.

    Args:
        config: of the run; None when it ended before it had read one.
        dag_id: of the run.
        run_id: of the run.
        outcome: how it ended; `failed` when there was no decision on a model.
        sentence: the same for people.
    """
    if outcome == "failed" and config:
        try:
            end_training(config, run_id)
        except InvalidInputError as error:
            log.warning("MLflow is not told of the failure: %s", error)
    try:
        AirflowClient(load_settings()).note(dag_id, run_id, f"{outcome}: {sentence}")
    except (UnreachableError, InvalidInputError) as error:
        # An Airflow that gives this task no login has the reason in the log of `promote` only.
        log.warning("the run's page has no note: %s", error)
