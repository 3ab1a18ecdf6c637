"""Gather: count returned labels, and write new ones with their images into an archive.

Three idempotent stages, as in `watch`: the chosen labels are recorded as *pending* by
compare-and-set, the archive is written, and then they move to *used*. After a crash the next run
continues with the pending labels and writes the same bytes to the same URI: the watcher sees one
archive and starts one training run.
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
from pipeline.config.archive_limits import IngestConfig
from pipeline.config.returned_label_limits import GatherConfig
from pipeline.contract.feedback_log import FeedbackRecord
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.digests import canonical_json, sha256_bytes
from pipeline.records import Frozen
from pipeline.run_context import RunContext
from pipeline.steps.labels.returned_archive import write_archive
from pipeline.steps.labels.returned_labels import (
    Agreement,
    JoinedLabels,
    agreement_by_model,
    join_labels,
    labels_by_path,
    latest_feedback,
)

_log = logging.getLogger(__name__)

LineT = TypeVar("LineT", bound=BaseModel)


class GatherState(Frozen):
    """Which returned labels were written into archives, stored as `returned/<name>.json`."""

    sequence: int = 0
    used: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each archived image to its label in the archive."""
    pending: dict[str, str] = Field(default_factory=dict)
    """Path below `kept/<name>/` to label, for the archive in progress."""


class ReturnedLabels(Frozen):
    """Counts of the labels returned in the last days, stored as `reports/<name>/returned.json`."""

    name: str
    since: datetime
    until: datetime
    labels: int
    """Requests with a label and a prediction in the log."""
    agreeing: int
    disagreeing: int
    models: dict[str, Agreement]
    """Labels and agreeing labels, by the tag of the model that predicted."""
    unknown: int
    """Labels of requests that are not in the log of these days."""
    ambiguous: int
    """Labels of request ids with several images; not used."""
    not_kept: int
    """Labels whose image was not kept, or is too large for an archive."""
    usable: int
    """Images that can be trained on, by their last label."""
    waiting: int
    """Usable images that are not in an archive yet."""
    gathered: int
    """Usable images in the archive that was written now."""
    archive: str
    """URI of the archive; empty if none was written."""
    unreadable: int
    """Lines that are not valid records; a crash can truncate a line."""

    def __str__(self) -> str:
        """The counts as text, for the command line."""
        gathered = f", {self.gathered} were written to {self.archive}" if self.archive else ""
        return (
            f"{self.name} since {self.since:%Y-%m-%d}: {self.labels} labels, "
            f"{self.agreeing} agree with the prediction, {self.disagreeing} disagree\n"
            f"{self.usable} images can be trained on, {self.waiting} of them wait{gathered}\n"
            f"not used: {self.unknown} of unknown requests, {self.ambiguous} of request ids with "
            f"several images, {self.not_kept} without a kept image"
        )


def gather(
    name: str, config: GatherConfig, *, store: ArtifactStore, run: RunContext
) -> ReturnedLabels:
    """Count returned labels, write the counts, and archive new labels once there are enough.

    Args:
        name: the model name whose log and labels are read.
        config: the number of labels for an archive, and the days to read.
        store: where logs, images and archives are.
        run: its creation time ends the period.

    Raises:
        ConflictError: when another gather runs at the same time; run it again.
    """
    since = run.created_at - timedelta(days=config.days)
    joined, unreadable = _read_labels(name, since, run.created_at, store)
    document = _document(name, store)
    state, etag = document.read()
    labels = labels_by_path(joined.labelled)
    new = {path: label for path, label in labels.items() if state.used.get(_sha(path)) != label}
    sizes = _sizes(name, new, store)
    if not state.pending and len(sizes) >= config.min_labels:
        chosen = {path: new[path] for path in _fitting(sizes, config.max_bytes)}
        state = _next(state, pending=chosen)
        etag = document.replace(state, etag)
    archive, written = _finish(name, state, etag, store) if state.pending else ("", 0)
    missing = len(new) - len(sizes)
    returned = ReturnedLabels(
        name=name,
        since=since,
        until=run.created_at,
        **_count_fields(joined),
        not_kept=sum(not one.prediction.image for one in joined.labelled) + missing,
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
    """URI of the stored counts, `reports/<name>/returned.json`."""
    return f"{store.root}/reports/{name}/returned.json"


def _count_fields(joined: JoinedLabels) -> dict[str, Any]:
    """The fields of `ReturnedLabels` that the joined labels give."""
    models = agreement_by_model(joined.labelled)
    agreeing = sum(model.agreeing for model in models.values())
    return {
        "labels": len(joined.labelled),
        "agreeing": agreeing,
        "disagreeing": len(joined.labelled) - agreeing,
        "models": models,
        "unknown": joined.unknown,
        "ambiguous": joined.ambiguous,
    }


def _read_labels(
    name: str, since: datetime, until: datetime, store: ArtifactStore
) -> tuple[JoinedLabels, int]:
    """Labels of the days `since` to `until`, joined to their predictions, and unreadable lines."""
    days = [since.date() + timedelta(days=n) for n in range((until.date() - since.date()).days + 1)]
    counts: Counter[str] = Counter()

    def lines(kind: str, line: type[LineT]) -> Iterator[LineT]:
        for day in days:
            for item in store.objects.list(f"{store.root}/{kind}/{name}/{day.isoformat()}/"):
                yield from _parse(store.objects.read(item.uri), line, counts)

    feedback = latest_feedback(lines("feedback", FeedbackRecord))
    joined = join_labels(feedback, lines("logs", PredictionRecord) if feedback else ())
    return joined, counts["unreadable"]


def _parse(data: bytes, line: type[LineT], counts: Counter[str]) -> Iterator[LineT]:
    """Yield the valid lines of a log segment; adds the invalid ones to `counts["unreadable"]`."""
    for text in data.splitlines():
        try:
            yield line.model_validate_json(text)
        except ValidationError:
            counts["unreadable"] += 1


def _sizes(name: str, paths: Iterable[str], store: ArtifactStore) -> dict[str, int]:
    """Path to size in bytes, for the images that exist and that ingest accepts."""
    stats = {path: store.objects.stat(f"{_kept_uri(name, store)}/{path}") for path in paths}
    max_bytes = IngestConfig().max_member_bytes
    return {path: info.size for path, info in stats.items() if info and info.size <= max_bytes}


def _fitting(sizes: Mapping[str, int], max_bytes: int) -> list[str]:
    """First paths whose images fit into one archive of `max_bytes`; others wait for the next."""
    totals = accumulate(sizes.values())
    return [path for path, total in zip(sizes, totals, strict=True) if total <= max_bytes]


def _finish(
    name: str, state: GatherState, etag: str | None, store: ArtifactStore
) -> tuple[str, int]:
    """Upload pending labels as an archive, and store them as used; (URI, images) or ("", 0)."""
    digest = sha256_bytes(canonical_json(state.pending).encode())[:12]
    uri = f"{store.root}/archives/{name}/returned-{digest}.zip"
    with tempfile.TemporaryDirectory(prefix="leukoflow-returned-") as folder:
        local = Path(folder) / "returned.zip"
        written = write_archive(local, _kept_uri(name, store), state.pending, store.objects)
        if written:
            store.objects.upload(local, uri)
    used = state.used | {_sha(path): label for path, label in written.items()}
    _document(name, store).replace(_next(state, used=used, pending={}), etag)
    return (uri, len(written)) if written else ("", 0)


def _kept_uri(name: str, store: ArtifactStore) -> str:
    return f"{store.root}/kept/{name}"


def _sha(path: str) -> str:
    """SHA-256 of a kept image, from its file name."""
    return PurePosixPath(path).stem


def _document(name: str, store: ArtifactStore) -> Document[GatherState]:
    """Object that reads and writes the `GatherState` of a model name."""
    uri = f"{store.root}/returned/{name}.json"
    return Document(store.objects, uri, GatherState.model_validate_json, GatherState())


def _next(state: GatherState, **changed: dict[str, str]) -> GatherState:
    """Copy of a state with changed fields and the next sequence number."""
    return state.model_copy(update={"sequence": state.sequence + 1, **changed})
