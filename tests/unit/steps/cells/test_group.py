"""Group and cell of each record: from a hint, else from near duplicates."""

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, GroupingManifest
from pipeline.config.run_config import RunConfig
from pipeline.records import Record, from_csv
from pipeline.run_context import RunContext
from pipeline.sample.archive import draw_images, write_archive
from pipeline.sample.laboratory import IN_DOMAIN
from pipeline.steps.cells.group import LOCKED, group, groups_csv
from pipeline.steps.cells.locked_images import LockedImage, extend_lock
from pipeline.steps.dataset.ingest import ingest
from pipeline.steps.dataset.validate import validate

WriteZip = Callable[..., str]
Draw = Callable[..., bytes]


def _grouped(
    archive: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> tuple[Artifact[GroupingManifest], list[Record]]:
    snapshot = ingest([archive], config, store=store, run=run)
    grouping = group(validate(snapshot, config, store=store, run=run), config, store=store, run=run)
    return grouping, from_csv(store.read(grouping, "records.csv").decode(), Record)


def test_hints_are_the_groups(
    write_zip: WriteZip, draw: Draw, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """If every image has a hint, the hints are the groups, also across class folders."""
    members = {"ROUND/p1_a.png": draw(1), "ROUND/p2_a.png": draw(2), "LOBED/p1_b.png": draw(3)}
    ingestion = config.ingest.model_copy(update={"group_pattern": r"^(p\d)"})
    hinting = config.model_copy(update={"ingest": ingestion})
    grouping, records = _grouped(write_zip("p.zip", members), hinting, store, run)
    assert {r.file: r.group for r in records} == {
        "ROUND/p1_a.png": "p1",
        "ROUND/p2_a.png": "p2",
        "LOBED/p1_b.png": "p1",
    }
    assert grouping.manifest.method.startswith("hints, cells by ")


def test_copies_of_a_cell_are_one_group(
    tmp_path: Path, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Without hints, augmented copies are one group, and a second run gives the same artefact."""
    path = tmp_path / "sample.zip"
    members = write_archive(path, seed=9, cells_per_class=3, copies=3)
    classes = config.contract.model_copy(
        update={"classes": ("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL")}
    )
    drawn = config.model_copy(update={"contract": classes})
    grouping, records = _grouped(str(path), drawn, store, run)
    again, _ = _grouped(str(path), drawn, store, RunContext.now("again", "again"))
    cells = {member.file: member.cell for member in members}
    together = Counter((record.group, cells[record.file]) for record in records)
    assert set(together.values()) == {3}
    assert grouping.manifest.counts == {"images": 36, "groups": 12, "cells": 12, "hinted": 0}
    assert grouping.uri == again.uri


def test_the_same_images_are_compared_once(
    tmp_path: Path,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second run reuses the matches; another `min_inliers` searches again."""
    path = tmp_path / "sample.zip"
    write_archive(path, seed=9, cells_per_class=2, copies=2)
    classes = ("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL")
    drawn = config.model_copy(
        update={"contract": config.contract.model_copy(update={"classes": classes})}
    )
    first, _ = _grouped(str(path), drawn, store, run)

    def fail(*_: object) -> None:
        raise AssertionError("the images are compared again")

    monkeypatch.setattr("pipeline.steps.cells.group.find_matches", fail)
    assert _grouped(str(path), drawn, store, run)[0].uri == first.uri
    stricter = drawn.model_copy(
        update={"group": drawn.group.model_copy(update={"min_inliers": 40})}
    )
    with pytest.raises(AssertionError, match="compared again"):
        _grouped(str(path), stricter, store, run)


def test_images_without_a_hint_are_searched(
    write_zip: WriteZip, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """An image with a hint keeps it; images without one are compared with each other."""
    (_, first), (_, second) = draw_images(1, 2, IN_DOMAIN)
    rows = b"file,label,group\nROUND/a.jpeg,,slide 1\n"
    members = {"ROUND/a.jpeg": first, "LOBED/b.jpeg": second, "LOBED/c.png": _half_turn(second)}
    archive = write_zip("m.zip", members | {"manifest.csv": rows})
    grouping, records = _grouped(archive, config, store, run)
    groups = {record.file: record.group for record in records}
    assert groups["ROUND/a.jpeg"] == "slide 1"
    assert groups["LOBED/b.jpeg"] == groups["LOBED/c.png"] != "slide 1"
    assert grouping.manifest.method.startswith("hints, else ")


def test_copies_of_a_locked_cell_are_matched(
    write_zip: WriteZip, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """A copy of a locked cell is matched, also if the locked image is not in the dataset."""
    (_, first), (_, second) = draw_images(1, 2, IN_DOMAIN)
    members = {"ROUND/a.jpeg": first, "LOBED/b.jpeg": second}
    _, old = _grouped(write_zip("old.zip", members), config, store, run)
    locked = next(record for record in old if record.label == "ROUND")
    extend_lock("cells", lambda _: {locked.sha256: LockedImage.of(locked)}, store)
    (_, other), (_, third) = draw_images(2, 2, IN_DOMAIN)
    copies = {"ROUND/c.png": _half_turn(first), "ROUND/d.jpeg": other, "LOBED/e.jpeg": third}
    grouping, records = _grouped(write_zip("new.zip", copies), config, store, run)
    locked_rows = from_csv(store.read(grouping, LOCKED).decode(), Record)
    groups = {record.file: record.group for record in records}
    assert [(r.sha256, r.group) for r in locked_rows] == [(locked.sha256, groups["ROUND/c.png"])]
    assert len(set(groups.values())) == 3


def test_groups_csv_is_sorted_by_file() -> None:
    """The CSV has four columns, and values with a comma are quoted."""
    records = [
        Record(sha256="2", label="ROUND", file="b,1.png", archive="", group="g2", cell="c2"),
        Record(sha256="1", label="LOBED", file="a.png", archive="", group="g1", cell="c1"),
    ]
    assert groups_csv(records) == (
        'file,label,group,cell\na.png,LOBED,g1,c1\n"b,1.png",ROUND,g2,c2\n'
    )


def _half_turn(data: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).transpose(Image.Transpose.ROTATE_180).save(out, "PNG")
    return out.getvalue()


def test_cached_matches_ignore_images_that_are_not_compared(
    write_zip: WriteZip, draw: Draw, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Cached matches are valid for the compared images, whatever other images a snapshot has."""
    ((_, cell),) = draw_images(4, 1, IN_DOMAIN)
    out = io.BytesIO()
    Image.open(io.BytesIO(cell)).save(out, "PNG")
    one_cell = {"ROUND/a.jpeg": cell, "ROUND/b.png": out.getvalue()}
    for count in (1, 8):
        named = {f"LOBED/{n}.png": draw(n) for n in range(count)}
        rows = [f"{file},ROUND,p1," for file in one_cell]
        rows += [f"{file},LOBED,p2,{number}" for number, file in enumerate(named)]
        manifest = "\n".join(["file,label,group,cell", *rows]).encode()
        archive = write_zip(f"{count}.zip", one_cell | named | {"manifest.csv": manifest})
        _, records = _grouped(archive, config, store, run)
        assert len({record.cell for record in records if record.file in one_cell}) == 1
        assert len({record.cell for record in records}) == 1 + count
