"""Best-effort MLflow tracking: an unreachable MLflow is a warning, and training continues."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from pipeline.entrypoints.jobs.job import Job, open_job
from pipeline.errors import UnreachableError

log = logging.getLogger(__name__)


def log_to_mlflow(run_id: str, act: Callable[[], None]) -> None:
    """Call `act` unless the run id is empty; an unreachable MLflow is only a warning in the log."""
    try:
        if run_id:
            act()
    except UnreachableError as error:
        log.warning("not tracked: %s", error)


def log_result(job: Job, training_run: str, act: Callable[[str], None]) -> None:
    """Call `act` with the id of the job's MLflow run; an unreachable MLflow is only a warning.

    Args:
        job: its run id identifies the MLflow run.
        training_run: the MLflow run that trained the bundle, for a job without its own. Training on
            unchanged data gives the bundle of an earlier run; the later run logs its own metrics.
        act: logs the result to a run; not called if there is no run.
    """
    run_id = _own_run(job) or training_run
    log_to_mlflow(run_id, lambda: act(run_id))


@contextmanager
def fail_run_on_error(job: Job, training_run: str) -> Iterator[None]:
    """If the block raises, end the training's MLflow run as FAILED and re-raise the error.

    Args:
        job: its run id identifies the MLflow run.
        training_run: the MLflow run that trained the bundle; a FINISHED one is not changed.
    """
    failed = True
    try:
        yield
        failed = False
    finally:
        if failed:
            own = _own_run(job)
            log_to_mlflow(own, lambda: job.tracking.finish(own, "FAILED"))
            log_to_mlflow("" if own else training_run, lambda: _fail_unfinished(job, training_run))


def end_training(config: str, run_id: str) -> None:
    """End the MLflow run of a failed or killed training as FAILED, unless it is FINISHED."""
    job = open_job(config, run_id)
    own = _own_run(job)
    log_to_mlflow(own, lambda: _fail_unfinished(job, own))


def tag_training(config: str, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a training's MLflow run, if it has one; a warning if MLflow is unreachable."""
    job = open_job(config, run_id)
    own = _own_run(job)
    log_to_mlflow(own, lambda: job.tracking.set_tags(own, tags))


def _own_run(job: Job) -> str:
    """Id of the job's own MLflow run; '' if there is none or MLflow is unreachable (warning)."""
    try:
        return job.tracking.find(job.run.run_id)
    except UnreachableError as error:
        log.warning("not tracked: %s", error)
        return ""


def _fail_unfinished(job: Job, run_id: str) -> None:
    """End a run as FAILED, unless it is FINISHED; raises UnreachableError."""
    if job.tracking.status(run_id) != "FINISHED":
        job.tracking.finish(run_id, "FAILED")
