"""The drift page that people read, and its way to the report site."""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from monitoring.drift.result import DriftResult
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, DriftManifest, WindowManifest
from pipeline.pages.report_site import Page, page_templates, publish_page

SUMMARY = "index.html"
_BADGES = {"quiet": "quiet", "alarm": "alarm", "not_enough": "not enough"}


def write_summary(
    verdict: DriftResult, window: WindowManifest, folder: Path, *, evidently: bool
) -> None:
    """Write `index.html`: the verdict in a sentence, then every column against chance."""
    page = page_templates("monitoring.drift").get_template("drift.html.j2")
    columns = sorted(verdict.columns, key=lambda column: -column.ratio)
    (folder / SUMMARY).write_text(
        page.render(
            title=f"Drift of {window.name}",
            verdict=verdict,
            badge=_BADGES[verdict.verdict],
            columns=columns,
            scale=max([1.5, *(column.ratio for column in columns)]),
            window=window,
            evidently=evidently,
        )
    )


def publish_drift(
    drift: Artifact[DriftManifest],
    verdict: DriftResult,
    window: Artifact[WindowManifest],
    *,
    requested: bool,
    store: ArtifactStore,
) -> str:
    """Copy a drift report to the report site and list it there; returns the page's folder.

    `requested` says whether the policy asked for a retrain because of it.
    """
    start, end = window.manifest.start, window.manifest.end
    asked = "retrain requested" if requested else "no retrain"
    with TemporaryDirectory() as folder:
        store.fetch(drift, Path(folder))
        page = Page(
            name=drift.manifest.name,
            section="drift",
            title=_span(start, end),
            badge=_BADGES[verdict.verdict],
            note=f"{verdict.distinct} images · {drift.manifest.tag} · {asked}",
            time=drift.manifest.created_at,
        )
        return publish_page(store.objects, store.root, page, Path(folder))


def _span(start: datetime, end: datetime) -> str:
    last = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%d %b, %H:%M}"
    return f"{start:%d %b, %H:%M} to {last} UTC"
