"""Pages that the report site shows."""

import tempfile
from pathlib import Path

from pipeline.adapters.report_site import publish_page
from pipeline.artifacts import Artifact, M
from pipeline.entrypoints.job import Job


def publish(
    job: Job,
    artifact: Artifact[M],
    section: str,
    page: str,
    badge: str,
) -> str:
    """Put one page of an artefact on the report site under a section; returns its URI."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "index.html").write_bytes(job.store.read(artifact, page))
        return publish_page(
            job.store.objects,
            job.store.root,
            job.config.name,
            section,
            f"{section.rstrip('s').capitalize()} {artifact.digest[:12]}",
            badge,
            Path(folder),
            job.run.created_at,
        )
