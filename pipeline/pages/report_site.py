"""Report site: publish pages under `<root>/reports/`, and rebuild the index of all pages.

A page is a folder with an `index.html`. Its `entry.json` is written last and lists it. The index
pages are rendered from the entries, and can be rebuilt at any time.
"""

import hashlib
import mimetypes
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from pydantic import ValidationError

from pipeline.adapters.storage import Document, ObjectStore
from pipeline.errors import ArtifactError
from pipeline.records import Frozen

INDEX = "index.html"
ENTRY = "entry.json"
_MAX_LISTED = 200
"""Pages in an index, newest first; older ones are still found by their address."""
_TONES = {
    **dict.fromkeys(("quiet", "passed", "promoted"), "good"),
    **dict.fromkeys(("alarm", "refused", "failed"), "bad"),
}


class Page(Frozen):
    """A page's entry in the index: model, section, title and outcome."""

    name: str
    """Name of the model."""
    section: str
    """Kind of report: `drift`, `evaluation`, `grouping`, `validation` or `verdicts`."""
    title: str
    badge: str
    """Outcome in one or two words; `tone` gives its colour."""
    note: str = ""
    """Small print next to the title."""
    time: datetime
    """When the report was made."""


class Entry(Page):
    """A published page with its folder: `entry.json`."""

    path: str
    """Folder of the page below `reports/`."""


def publish_page(objects: ObjectStore, root: str, page: Page, folder: Path) -> str:
    """Upload a folder as a page, and list it in the index; returns the page's URI. Idempotent.

    Args:
        objects: the object store.
        root: URI of the store's root; pages go to `<root>/reports/<name>/<section>/`.
        page: how the index lists it.
        folder: contains `index.html` and the files that it links to.

    Raises:
        ArtifactError: when the folder has no `index.html`.
    """
    if not (folder / INDEX).is_file():
        raise ArtifactError(f"folder {folder} has no {INDEX}")
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ENTRY)
    stamp = f"{page.time.astimezone(UTC):%Y%m%dT%H%M%SZ}-{_digest(folder, files)[:8]}"
    path = f"{page.name}/{page.section}/{stamp}"
    uri = f"{_site_uri(root)}/{path}"
    for file in files:
        objects.upload(file, f"{uri}/{file.relative_to(folder).as_posix()}")
    entry = Entry(**page.model_dump(), path=path)
    objects.write(f"{uri}/{ENTRY}", entry.model_dump_json(indent=2).encode())
    rebuild_index(objects, root)
    return uri


def rebuild_index(objects: ObjectStore, root: str) -> None:
    """Write `reports/index.html` and one index per model name, from all entries in the store."""
    names = {entry.name for entry in _read_entries(objects, root)}
    for name in [None, *sorted(names)]:
        _write_index(objects, root, name)


@cache
def page_templates(*packages: str) -> Environment:
    """Jinja environment that loads templates of `pipeline.pages` and of `packages`.

    A variable that a template does not receive is an error, and HTML is escaped.
    Cached: a process compiles each template once.
    """
    loaders = [PackageLoader(package) for package in (*packages, "pipeline.pages")]
    environment = Environment(
        loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.globals["tone"] = tone
    return environment


def tone(badge: str) -> str:
    """CSS class for the colour of a badge: `good`, `bad` or `plain`."""
    return _TONES.get(badge, "plain")


def content_type(path: str) -> str:
    """Content type by file name; text is UTF-8."""
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    is_text = kind.startswith("text/") or kind in ("application/json", "image/svg+xml")
    return f"{kind}; charset=utf-8" if is_text else kind


def _write_index(objects: ObjectStore, root: str, name: str | None) -> None:
    """Write the index of one model name, or of all (None); retries after a conflict.

    Raises:
        ConflictError: when other writers kept changing it.
    """
    uri = f"{_site_uri(root)}/{INDEX}" if name is None else f"{_site_uri(root)}/{name}/{INDEX}"
    index = Document(objects, uri, load=bytes, initial=b"", dump=bytes)
    index.update(lambda _: _render(_read_entries(objects, root, name), name).encode())


def _render(entries: Sequence[Entry], name: str | None) -> str:
    """The index page: the latest page of each section, then all pages by day, newest first."""
    latest: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        latest.setdefault((entry.name, entry.section), entry)
    by_day = groupby(entries[:_MAX_LISTED], key=lambda entry: entry.time.date())
    days = [(day, list(group)) for day, group in by_day]
    template = page_templates().get_template("index.html.j2")
    return template.render(
        title=f"Reports of {name}" if name else "Reports",
        name=name,
        names=sorted({entry.name for entry in entries}),
        latest=[latest[key] for key in sorted(latest)],
        days=days,
        up="" if name is None else "../",
    )


def _read_entries(objects: ObjectStore, root: str, name: str | None = None) -> list[Entry]:
    """Entries of a model name or of all, newest first; ArtifactError names a damaged one."""
    prefix = f"{_site_uri(root)}/" if name is None else f"{_site_uri(root)}/{name}/"
    listed = [item.uri for item in objects.list(prefix) if item.uri.endswith(f"/{ENTRY}")]
    entries = [_read_entry(objects, uri) for uri in listed]
    return sorted(entries, key=lambda entry: (entry.time, entry.path), reverse=True)


def _read_entry(objects: ObjectStore, uri: str) -> Entry:
    """Read an `entry.json`; ArtifactError if it is damaged."""
    try:
        return Entry.model_validate_json(objects.read(uri))
    except ValidationError as error:
        raise ArtifactError(
            f"{uri} is damaged: {error}", expected="the entry of a page, or no such file"
        ) from error


def _site_uri(root: str) -> str:
    return f"{root.rstrip('/')}/reports"


def _digest(folder: Path, files: Sequence[Path]) -> str:
    """SHA-256 over the files' relative paths and contents."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
