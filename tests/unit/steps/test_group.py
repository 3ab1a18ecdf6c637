"""Every record learns its cell: from a hint, else from its near duplicates."""

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, GroupingManifest, Record, from_csv
from pipeline.config import RunConfig
from pipeline.run import RunContext
from pipeline.sample.archive import draw_images, write_archive
from pipeline.sample.laboratory import HOME
from pipeline.steps.group import group, group_names, write_groups_csv
from pipeline.steps.ingest import ingest
from pipeline.steps.validate import validate

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
    """Where every image has a hint, the hints are the groups, across class folders too."""
    members = {"ROUND/p1_a.png": draw(1), "ROUND/p2_a.png": draw(2), "LOBED/p1_b.png": draw(3)}
    ingestion = config.ingest.model_copy(update={"group_pattern": r"^(p\d)"})
    hinting = config.model_copy(update={"ingest": ingestion})
    grouping, records = _grouped(write_zip("p.zip", members), hinting, store, run)
    assert {r.file: r.group for r in records} == {
        "ROUND/p1_a.png": "p1",
        "ROUND/p2_a.png": "p2",
        "LOBED/p1_b.png": "p1",
    }
    assert grouping.manifest.method == "hints"


def test_copies_of_a_cell_are_one_group(
    tmp_path: Path, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Without hints, augmented copies are recovered, and the answer is repeatable."""
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
    assert grouping.manifest.counts == {"images": 36, "groups": 12, "hinted": 0}
    assert grouping.uri == again.uri


def test_hints_and_search_go_together(
    write_zip: WriteZip, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """An image with a hint keeps it; those without one are compared with each other."""
    (_, first), (_, second) = draw_images(1, 2, HOME)
    turned = io.BytesIO()
    Image.open(io.BytesIO(second)).transpose(Image.Transpose.ROTATE_180).save(turned, "PNG")
    rows = b"file,label,group\nROUND/a.jpeg,,slide 1\n"
    members = {"ROUND/a.jpeg": first, "LOBED/b.jpeg": second, "LOBED/c.png": turned.getvalue()}
    archive = write_zip("m.zip", members | {"manifest.csv": rows})
    grouping, records = _grouped(archive, config, store, run)
    groups = {record.file: record.group for record in records}
    assert groups["ROUND/a.jpeg"] == "slide 1"
    assert groups["LOBED/b.jpeg"] == groups["LOBED/c.png"] != "slide 1"
    assert grouping.manifest.method.startswith("hints, else ")


def test_names_come_from_the_smallest_hash() -> None:
    """A group is called after its smallest image hash, whatever the order."""
    assert group_names(["b" * 64, "a" * 64, "c" * 64], [0, 0, 2]) == {
        "b" * 64: "g" + "a" * 12,
        "a" * 64: "g" + "a" * 12,
        "c" * 64: "g" + "c" * 12,
    }


def test_groups_csv_is_sorted_by_file() -> None:
    """The table for people has three columns, and quotes what needs it."""
    records = [
        Record(sha256="2", label="ROUND", file="b,1.png", archive="", group="g2"),
        Record(sha256="1", label="LOBED", file="a.png", archive="", group="g1"),
    ]
    assert write_groups_csv(records) == ('file,label,group\na.png,LOBED,g1\n"b,1.png",ROUND,g2\n')
