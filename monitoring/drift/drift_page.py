"""The drift page (`index.html`), and publishing it on the report site."""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from monitoring.drift.result import DriftResult
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, DriftManifest, WindowManifest
from pipeline.pages.report_site import Page, page_templates, publish_page

SUMMARY = "index.html"
_BADGES = {"quiet": "quiet", "alarm": "alarm", "not_enough": "not tested"}


def write_summary(
    result: DriftResult, window: WindowManifest, folder: Path, *, evidently: bool
) -> None:
    """Write `index.html` into `folder`: the result, each column against its alarm threshold."""
    page = page_templates("monitoring.drift").get_template("drift.html.j2")
    columns = sorted(result.columns, key=lambda column: -column.ratio)
    (folder / SUMMARY).write_text(
        page.render(
            title=f"Drift report of {window.name}",
            result=result,
            badge=_BADGES[result.verdict],
            columns=columns,
            scale=max([1.5, *(column.ratio for column in columns)]),
            window=window,
            evidently=evidently,
        )
    )


def publish_drift(
    drift: Artifact[DriftManifest],
    result: DriftResult,
    window: Artifact[WindowManifest],
    *,
    requested: bool,
    store: ArtifactStore,
) -> str:
    """Copy a drift report to the report site and list it there; returns the URI of its folder.

    `requested`: whether the policy requested a retrain because of this report.
    """
    start, end = window.manifest.start, window.manifest.end
    outcome = "retrain requested" if requested else "no retrain"
    with TemporaryDirectory() as folder:
        store.fetch(drift, Path(folder))
        page = Page(
            name=drift.manifest.name,
            section="drift",
            title=_span(start, end),
            badge=_BADGES[result.verdict],
            note=f"{result.distinct} images · {drift.manifest.tag} · {outcome}",
            time=drift.manifest.created_at,
        )
        return publish_page(store.objects, store.root, page, Path(folder))


def _span(start: datetime, end: datetime) -> str:
    """Period of a window as text; the end's date only if it differs from the start's."""
    last = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%d %b, %H:%M}"
    return f"{start:%d %b, %H:%M} to {last} UTC"
