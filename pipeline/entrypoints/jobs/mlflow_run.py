"""The MLflow run of a training, from its start to its end; nothing here stops a training."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.entrypoints.jobs.job import Job, open_job
from pipeline.errors import UnreachableError

log = logging.getLogger(__name__)


def tell(tracked: str, act: Callable[[], None]) -> None:
    """Tell MLflow about a run, unless there is none or the server is not reachable."""
    try:
        if tracked:
            act()
    except UnreachableError as error:
        log.warning("not tracked: %s", error)


def tracked_run(job: Job, first: str) -> str:
    """The MLflow run that shows what this job does; empty when the server is not reachable.

    Args:
        job: whose run id names the pipeline's run.
        first: the run that made the bundle. Training on unchanged data gives the bundle of an
            earlier run, and what is measured then belongs to the later one too.
    """
    return _own_run(job) or first


@contextmanager
def until_it_fails(job: Job, first: str) -> Iterator[None]:
    """A part of a training: when it fails, so did the training's MLflow run.

    Args:
        job: whose run id names the pipeline's run.
        first: the run that made the bundle; it stays as it is when it ended well.
    """
    failed = True
    try:
        yield
        failed = False
    finally:
        if failed:
            own = _own_run(job)
            tell(own, lambda: job.tracking.finish(own, "FAILED"))
            tell("" if own else first, lambda: _fail_unfinished(job, first))


def end_training(config: str, run_id: str) -> None:
    """End as FAILED what a training that failed or was killed left RUNNING in MLflow."""
    job = open_job(config, run_id)
    own = _own_run(job)
    tell(own, lambda: _fail_unfinished(job, own))


def _own_run(job: Job) -> str:
    try:
        return job.tracking.find(job.run.run_id)
    except UnreachableError as error:
        log.warning("not tracked: %s", error)
        return ""


def _fail_unfinished(job: Job, tracked: str) -> None:
    if job.tracking.status(tracked) != "FINISHED":
        job.tracking.finish(tracked, "FAILED")
