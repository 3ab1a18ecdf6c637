"""Archives that are looked at without training on them, and the watch for new ones."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Registry
from pipeline.adapters.storage import UriStore
from pipeline.artifacts import Artifact, GroupingManifest, Record, ServedManifest, from_csv
from pipeline.config import RunConfig, load_config
from pipeline.entrypoints.job import code_version, config_path, open_job, open_store
from pipeline.errors import InvalidInputError
from pipeline.run import RunContext
from pipeline.settings import load_settings


def new_archives(config: str) -> list[dict[str, str]]:
    """Archives of the config's name that changed since the stored watermark."""
    from pipeline.steps.watch import new_archives as step

    job = open_job(config, "watch")
    return step(job.config.name, store=job.store)


def mark_seen(config: str, archives: Iterable[dict[str, str]]) -> None:
    """Move the watermark past these archives."""
    from pipeline.steps.watch import mark_seen as step

    job = open_job(config, "watch")
    step(job.config.name, archives, store=job.store)


@dataclass(frozen=True)
class Grouped:
    """A labelled archive, its images grouped by cell, in a store that lasts as long as needed."""

    store: ArtifactStore
    records: list[Record]
    run: RunContext


def group_archive(archive: str, config: str) -> list[Record]:
    """Which images of an archive show one cell; needs no running stack."""
    with _grouped(archive, load_config(config_path(config))) as grouped:
        return grouped.records


@contextmanager
def _grouped(archive: str, config: RunConfig) -> Iterator[Grouped]:
    from pipeline.steps.group import group
    from pipeline.steps.ingest import ingest
    from pipeline.steps.validate import validate

    run = RunContext.now("archive", code_version())
    with tempfile.TemporaryDirectory(prefix="archive-") as folder:
        store = ArtifactStore(UriStore(load_settings()), folder)
        snapshot = ingest([archive], config, store=store, run=run)
        dataset = validate(snapshot, config, store=store, run=run)
        grouping: Artifact[GroupingManifest] = group(dataset, config, store=store, run=run)
        yield Grouped(store, from_csv(store.read(grouping, "records.csv").decode(), Record), run)


def find_model(name: str, model: str) -> Pointer:
    """The pointer entry of `champion` or of a tag.

    Raises:
        InvalidInputError: when the history knows no such model.
    """
    store = open_store()
    registry = Registry(store.objects, store.root, name)
    history = registry.history()
    current = registry.read()
    wanted = [entry for entry in history if entry.tag == model]
    if model == "champion" and current is not None:
        return current
    if not wanted:
        raise InvalidInputError(
            "no such model",
            expected=", ".join(sorted({entry.tag for entry in history})) or "a promoted model",
            received=model,
        )
    return wanted[-1]


def evaluate_archive(archive: str, name: str, model: str) -> tuple[dict[str, object], str]:
    """Score a model on any labelled archive: the report, and predictions as CSV."""
    from pipeline.steps.evaluate import predictions_csv
    from pipeline.steps.images import read_images
    from pipeline.steps.scoring import answer, scores

    store = open_store()
    pointer = find_model(name, model)
    served = store.open(pointer.served, ServedManifest)
    config = RunConfig(contract=served.manifest.contract)
    with (
        tempfile.TemporaryDirectory() as folder,
        _grouped(archive, config) as grouped,
    ):
        files = store.fetch(served, Path(folder))
        images = read_images(grouped.store, grouped.records)
        answers = answer(images, served, files, datetime.now(UTC))
        scored = scores(
            answers.records,
            answers.probabilities,
            config.contract.classes,
            draws=config.gate.draws,
        )
        return {"tag": pointer.tag, **scored.model_dump(mode="json")}, predictions_csv(answers)
