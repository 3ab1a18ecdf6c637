"""Pages that the report site shows."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, M
from pipeline.entrypoints.jobs.job import Job
from pipeline.errors import InvalidInputError
from pipeline.pages.report_site import INDEX, Page, publish_page
from pipeline.run import RunContext

if TYPE_CHECKING:
    from pipeline.steps.dataset.validate import DatasetRefusedError


def publish(
    job: Job,
    artifact: Artifact[M],
    section: str,
    page: str,
    badge: str,
    beside: Sequence[str] = (),
) -> str:
    """Put one page of an artefact, and files beside it, on the report site; returns its URI."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / INDEX).write_bytes(job.store.read(artifact, page))
        for name in beside:
            (Path(folder) / name).write_bytes(job.store.read(artifact, name))
        listed = Page(
            name=job.config.name,
            section=section,
            title=f"{section.rstrip('s').capitalize()} {artifact.digest[:12]}",
            badge=badge,
            time=job.run.created_at,
        )
        return publish_page(job.store.objects, job.store.root, listed, Path(folder))


def publish_refusal(
    refused: "DatasetRefusedError",
    snapshot: Artifact[M],
    *,
    store: ArtifactStore,
    run: RunContext,
    site: str = "",
) -> InvalidInputError:
    """Put the report of a refused snapshot where those of good ones are.

    Args:
        refused: why, and the page.
        snapshot: what was refused, or the grouping of it.
        store: where the page goes.
        run: who validated, and when.
        site: URL of the report site, if one shows `store`.

    Returns:
        The refusal, saying where its page is.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / INDEX).write_text(refused.page)
        page = Page(
            name=snapshot.manifest.name,
            section="validation",
            title=f"Validation {snapshot.digest[:12]}",
            badge="refused",
            note=refused.message,
            time=run.created_at,
        )
        uri = publish_page(store.objects, store.root, page, Path(folder))
    return InvalidInputError(
        refused.message,
        expected=refused.expected,
        received=f"{refused.received}; the report with examples is {address(uri, store, site)}",
    )


def address(page: str, store: ArtifactStore, site: str) -> str:
    """Where a person opens a published page; one in a local folder opens without a site."""
    if site and page.startswith("s3://"):
        page = page.replace(f"{store.root}/reports", site.rstrip("/"), 1)
    return f"{page}/{INDEX}"
