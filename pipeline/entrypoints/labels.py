"""Label entry points: an archive of returned labels."""

from typing import TYPE_CHECKING

from pipeline.config.returned_label_limits import GatherConfig
from pipeline.entrypoints.jobs.job import open_store
from pipeline.run_context import RunContext
from pipeline.version import code_version

if TYPE_CHECKING:
    from pipeline.steps.labels.gather import ReturnedLabels


def gather(name: str, run_id: str, config: GatherConfig) -> "tuple[ReturnedLabels, str]":
    """Count a model's returned labels; writes an archive once there are enough new ones.

    Returns:
        The counts, and the URI of their report.
    """
    from pipeline.steps.labels.gather import gather as step
    from pipeline.steps.labels.gather import report_uri

    store = open_store()
    returned = step(name, config, store=store, run=RunContext.now(run_id, code_version()))
    return returned, report_uri(name, store)
