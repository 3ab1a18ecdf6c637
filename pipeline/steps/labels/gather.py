"""Gather: labels that people returned, and the images they speak of, become an archive.

In three steps that can each be repeated, as the watcher does it: the choice is written down as
*pending* by compare-and-set, the archive is written from it, and only then it moves to *used*.
After a crash the next gathering goes on with the same choice; its bytes and its address are the
same, so that the watcher sees one archive and starts one training run.
"""

import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import Document
from pipeline.config import GatherConfig, IngestConfig
from pipeline.contract.feedback import FeedbackRecord
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.digests import canonical_json, sha256_bytes
from pipeline.records import Frozen
from pipeline.run import RunContext
from pipeline.steps.labels.returned_archive import write_archive
from pipeline.steps.labels.returned_labels import Agreement, Joined, agreement, join, kept, latest

_log = logging.getLogger(__name__)

LineT = TypeVar("LineT", bound=BaseModel)


class Gathered(Frozen):
    """`returned/<name>.json`: what went into archives; changed only by compare-and-set."""

    sequence: int = 0
    used: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of an image to the label it went with."""
    pending: dict[str, str] = Field(default_factory=dict)
    """Path below `kept/<name>/` to label, for the archive that is being written."""


class Returned(Frozen):
    """`reports/<name>/returned.json`: what people said of the answers of the last days."""

    name: str
    since: datetime
    until: datetime
    labels: int
    """Requests whose last label speaks of a known answer."""
    agreeing: int
    disagreeing: int
    models: dict[str, Agreement]
    """The same by the tag of the model that had answered."""
    unknown: int
    """Labels of requests that the log of these days does not know."""
    ambiguous: int
    """Labels of request ids that several images share; of no use."""
    not_kept: int
    """Labels whose image is not in the store, or too large for an archive."""
    usable: int
    """Images that can be trained on, each with its last label."""
    waiting: int
    """Of these, those that no archive holds yet."""
    gathered: int
    """Of these, those in the archive that was written now."""
    archive: str
    """URI of that archive; empty when there is none."""
    unreadable: int
    """Lines that are no records; a crash tears one."""

    def __str__(self) -> str:
        """The counts in words."""
        into = f", {self.gathered} went into {self.archive}" if self.archive else ""
        return (
            f"{self.name} since {self.since:%Y-%m-%d}: {self.labels} labels, "
            f"{self.agreeing} agree with the answer, {self.disagreeing} disagree\n"
            f"{self.usable} images can be trained on, {self.waiting} of them wait{into}\n"
            f"not used: {self.unknown} of unknown requests, {self.ambiguous} of ids that images "
            f"share, {self.not_kept} without a kept image"
        )


def gather(name: str, config: GatherConfig, *, store: ArtifactStore, run: RunContext) -> Returned:
    """Count what was returned, and put new labels into an archive once there are enough.

    Args:
        name: the model name whose log and labels are read.
        config: how many labels are enough, and how far back to look.
        store: where logs, images and archives are.
        run: its time is now.

    Raises:
        ConflictError: when somebody else gathers at the same time.
    """
    since = run.created_at - timedelta(days=config.days)
    joined, unreadable = _read(name, since, run.created_at, store)
    document = _document(name, store)
    state, etag = document.read()
    labels = kept(joined.labelled)
    new = {path: label for path, label in labels.items() if state.used.get(_sha(path)) != label}
    sizes = _sizes(name, new, store)
    if not state.pending and len(sizes) >= config.min_labels:
        chosen = {path: new[path] for path in _first(sizes, config.max_bytes)}
        state = _next(state, pending=chosen)
        etag = document.replace(state, etag)
    archive, written = _finish(name, state, etag, store) if state.pending else ("", 0)
    missing = len(new) - len(sizes)
    returned = Returned(
        name=name,
        since=since,
        until=run.created_at,
        **_accuracy(joined),
        not_kept=sum(not one.answer.image for one in joined.labelled) + missing,
        usable=len(labels) - missing,
        waiting=len(sizes.keys() - state.pending.keys()),
        gathered=written,
        archive=archive,
        unreadable=unreadable,
    )
    store.objects.write(report_uri(name, store), returned.model_dump_json(indent=2).encode())
    _log.info("gather: %s, %d labels, archive %s", name, returned.labels, archive or "none")
    return returned


def report_uri(name: str, store: ArtifactStore) -> str:
    """Where the counts stand; the report site shows them."""
    return f"{store.root}/reports/{name}/returned.json"


def _accuracy(joined: Joined) -> dict[str, Any]:
    models = agreement(joined.labelled)
    agreeing = sum(model.agreeing for model in models.values())
    return {
        "labels": len(joined.labelled),
        "agreeing": agreeing,
        "disagreeing": len(joined.labelled) - agreeing,
        "models": models,
        "unknown": joined.unknown,
        "ambiguous": joined.ambiguous,
    }


def _read(name: str, since: datetime, until: datetime, store: ArtifactStore) -> tuple[Joined, int]:
    """The labels of a period beside their answers, and how many lines could not be read."""
    days = [since.date() + timedelta(days=n) for n in range((until.date() - since.date()).days + 1)]
    counts: Counter[str] = Counter()

    def lines(kind: str, line: type[LineT]) -> Iterator[LineT]:
        for day in days:
            for item in store.objects.list(f"{store.root}/{kind}/{name}/{day.isoformat()}/"):
                yield from _parse(store.objects.read(item.uri), line, counts)

    said = latest(lines("feedback", FeedbackRecord))
    joined = join(said, lines("logs", PredictionRecord) if said else ())
    return joined, counts["unreadable"]


def _parse(data: bytes, line: type[LineT], counts: Counter[str]) -> Iterator[LineT]:
    for text in data.splitlines():
        try:
            yield line.model_validate_json(text)
        except ValidationError:
            counts["unreadable"] += 1


def _sizes(name: str, paths: Iterable[str], store: ArtifactStore) -> dict[str, int]:
    """Bytes of each image that is in the store and that ingest would take."""
    found = {path: store.objects.stat(f"{_kept_uri(name, store)}/{path}") for path in paths}
    largest = IngestConfig().max_member_bytes
    return {path: info.size for path, info in found.items() if info and info.size <= largest}


def _first(sizes: Mapping[str, int], most: int) -> list[str]:
    """As many as fit into one archive; the others wait for the next."""
    totals = accumulate(sizes.values())
    return [path for path, total in zip(sizes, totals, strict=True) if total <= most]


def _finish(name: str, state: Gathered, etag: str | None, store: ArtifactStore) -> tuple[str, int]:
    """Write the archive of what is pending, then call that used; its URI and its images."""
    digest = sha256_bytes(canonical_json(state.pending).encode())[:12]
    uri = f"{store.root}/archives/{name}/returned-{digest}.zip"
    with tempfile.TemporaryDirectory(prefix="leukoflow-returned-") as folder:
        path = Path(folder) / "returned.zip"
        taken = write_archive(path, _kept_uri(name, store), state.pending, store.objects)
        if taken:
            store.objects.upload(path, uri)
    used = state.used | {_sha(kept_at): label for kept_at, label in taken.items()}
    _document(name, store).replace(_next(state, used=used, pending={}), etag)
    return (uri, len(taken)) if taken else ("", 0)


def _kept_uri(name: str, store: ArtifactStore) -> str:
    return f"{store.root}/kept/{name}"


def _sha(path: str) -> str:
    return PurePosixPath(path).stem


def _document(name: str, store: ArtifactStore) -> Document[Gathered]:
    uri = f"{store.root}/returned/{name}.json"
    return Document(store.objects, uri, Gathered.model_validate_json, Gathered())


def _next(state: Gathered, **changed: dict[str, str]) -> Gathered:
    return state.model_copy(update={"sequence": state.sequence + 1, **changed})
