"""Bad images are set aside with a reason, and too many of them stop the run."""

from collections.abc import Callable

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Quarantined, Record, from_csv
from pipeline.config import RunConfig
from pipeline.errors import InvalidInputError
from pipeline.run import RunContext
from pipeline.steps.ingest import ingest
from pipeline.steps.validate import validate

WriteZip = Callable[..., str]
Draw = Callable[..., bytes]


@pytest.fixture
def mixed(write_zip: WriteZip, draw: Draw) -> str:
    """Four good images, and one of each kind that is set aside."""
    return write_zip(
        "mixed.zip",
        {
            "ROUND/1.png": draw(1),
            "round/2.png": draw(2),
            "LOBED/3.png": draw(3),
            "Lobed/4.png": draw(4),
            "ROUND/5.png": draw(5, 20),
            "ROUND/6.png": draw(6)[:200],
            "ROUND/<b>7.png": b"<script>alert(1)</script>",
            "SQUARE/8.png": draw(8),
            "ROUND/9.png": draw(9),
            "LOBED/9.png": draw(9),
        },
    )


def _tolerant(config: RunConfig, **changes: object) -> RunConfig:
    return config.model_copy(update={"validation": config.validation.model_copy(update=changes)})


def test_each_fault_has_its_reason(
    mixed: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Folders match classes in any case; all else is quarantined under its own reason."""
    snapshot = ingest([mixed], config, store=store, run=run)
    dataset = validate(snapshot, _tolerant(config, max_quarantined_share=0.9), store=store, run=run)
    kept = from_csv(store.read(dataset, "records.csv").decode(), Record)
    aside = from_csv(store.read(dataset, "quarantine.csv").decode(), Quarantined)
    assert sorted((r.file, r.label) for r in kept) == [
        ("LOBED/3.png", "LOBED"),
        ("Lobed/4.png", "LOBED"),
        ("ROUND/1.png", "ROUND"),
        ("round/2.png", "ROUND"),
    ]
    assert {(q.file, q.reason) for q in aside} == {
        ("ROUND/5.png", "a side is shorter than 32 pixels"),
        ("ROUND/6.png", "the image cannot be read"),
        ("ROUND/<b>7.png", "the image cannot be read"),
        ("SQUARE/8.png", "unknown class 'SQUARE'"),
        ("ROUND/9.png", "the same image is labelled LOBED and ROUND"),
        ("LOBED/9.png", "the same image is labelled LOBED and ROUND"),
    }
    assert dataset.manifest.counts == {"images": 4, "quarantined": 6, "ROUND": 2, "LOBED": 2}


def test_report_shows_counts_and_escapes_names(
    mixed: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The page is self-contained, holds a sheet per class, and a file name is never markup."""
    snapshot = ingest([mixed], config, store=store, run=run)
    dataset = validate(snapshot, _tolerant(config, max_quarantined_share=0.9), store=store, run=run)
    page = store.read(dataset, "report.html").decode()
    assert page.count("data:image/jpeg;base64,") == 2
    assert "&lt;b&gt;7.png" in page
    assert "<b>7" not in page
    assert "http" not in page.replace(store.root, "")


def test_validation_is_repeatable(mixed: str, config: RunConfig, store: ArtifactStore) -> None:
    """Two runs over one snapshot land on the same address, report and all."""
    tolerant = _tolerant(config, max_quarantined_share=0.9)
    uris = set()
    for name in ("first", "second"):
        run = RunContext.now(name, name)
        snapshot = ingest([mixed], config, store=store, run=run)
        uris.add(validate(snapshot, tolerant, store=store, run=run).uri)
    assert len(uris) == 1


def test_too_many_set_aside_stops(
    mixed: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Above the share the run stops and names the most frequent reasons."""
    snapshot = ingest([mixed], config, store=store, run=run)
    with pytest.raises(InvalidInputError, match=r"labelled LOBED and ROUND.*60.0% of 10"):
        validate(snapshot, config, store=store, run=run)


def test_short_class_stops(
    small_archive: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """A class with too few images stops the run and is named with its count."""
    snapshot = ingest([small_archive], config, store=store, run=run)
    with pytest.raises(InvalidInputError, match=r"at least 9 of each.*ROUND 8, LOBED 8"):
        validate(snapshot, _tolerant(config, min_images_per_class=9), store=store, run=run)
