"""Publish reports of artefacts and of refused datasets as pages of the report site."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, M
from pipeline.entrypoints.jobs.job import Job
from pipeline.errors import InvalidInputError
from pipeline.pages.report_site import INDEX, Page, publish_page
from pipeline.run_context import RunContext


def publish(job: Job, artifact: Artifact[M], section: str, badge: str, files: list[str]) -> str:
    """Publish files of an artefact as a page of the report site; returns the page's URI.

    Args:
        job: its run has the page's time.
        artifact: contains the files.
        section: section of the report site.
        badge: one or two words for the index.
        files: the page's file name, then the files that it links to.
    """
    contents = {name: job.store.read(artifact, name) for name in files}
    contents = {INDEX: contents.pop(files[0]), **contents}
    page = _page(artifact, job.run, section=section, badge=badge)
    return _publish(page, contents, job.store)


@contextmanager
def publish_refusal(
    artifact: Artifact[M], *, store: ArtifactStore, run: RunContext, site: str = ""
) -> Iterator[None]:
    """If the block raises DatasetRefusedError, publish the report and raise an error with its URL.

    Args:
        artifact: a snapshot or its grouping, which the block checks.
        store: the page is written below its root.
        run: its time is the page's.
        site: URL of the report site of `store`; empty if there is none.

    Raises:
        InvalidInputError: when the block raises DatasetRefusedError.
    """
    from pipeline.steps.dataset.validate import DatasetRefusedError

    try:
        yield
    except DatasetRefusedError as refused:
        page = _page(artifact, run, section="validation", badge="refused", note=refused.message)
        uri = _publish(page, {INDEX: refused.page.encode()}, store)
        report = f"the report with examples is {page_url(uri, store, site)}"
        raise InvalidInputError(
            refused.message, expected=refused.expected, received=f"{refused.received}; {report}"
        ) from refused


def _page(
    artifact: Artifact[M], run: RunContext, *, section: str, badge: str, note: str = ""
) -> Page:
    """Entry in the index for a page about an artefact."""
    title = f"{section.rstrip('s').capitalize()} {artifact.digest[:12]}"
    name, time = artifact.manifest.name, run.created_at
    return Page(name=name, section=section, title=title, badge=badge, note=note, time=time)


def _publish(page: Page, files: Mapping[str, bytes], store: ArtifactStore) -> str:
    """Upload the files (name to content) of a page; returns the page's URI."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        return publish_page(store.objects, store.root, page, Path(folder))


def page_url(page: str, store: ArtifactStore, site: str) -> str:
    """URL of a published page on the report site; the path of a page in a local folder."""
    if site and page.startswith("s3://"):
        page = page.replace(f"{store.root}/reports", site.rstrip("/"), 1)
    return f"{page}/{INDEX}"
