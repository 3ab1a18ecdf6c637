"""An archive of patients, up to its scores: patients are never split, and cells are scored."""

import csv
import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.run_config import RunConfig
from pipeline.errors import InvalidInputError
from pipeline.records import Record
from pipeline.run_context import RunContext
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import IN_DOMAIN
from pipeline.steps.cells.data_gate import data_gate
from pipeline.steps.cells.group import group, groups_csv
from pipeline.steps.cells.split import split
from pipeline.steps.dataset.ingest import ingest
from pipeline.steps.dataset.validate import validate
from pipeline.steps.evaluation.scoring import score_predictions
from pipeline.steps.training.examples import sample_weights

WriteZip = Callable[..., str]
PATIENTS, CELLS = 6, 3
"""Cells of a patient: two round ones and, for the first four patients, a lobed one."""


def members(patients: int, *, lobed: int = 4) -> dict[str, bytes]:
    """Two photographs per cell; the manifest names the patients and the first cell."""
    drawn = [data for _, data in draw_images(8, patients * CELLS, IN_DOMAIN)]
    files, rows = {}, ["file,label,group,cell"]
    for number, data in enumerate(drawn):
        patient, cell = divmod(number, CELLS)
        if cell == 2 and patient >= lobed:
            continue
        label = "LOBED" if cell == 2 else "ROUND"
        for end, photograph in ((".jpeg", data), (".png", _mirrored(data))):
            file = f"slides/{patient}-{cell}{end}"
            files[file] = photograph
            rows.append(f"{file},{label},patient {patient},{'first' if cell == 0 else ''}")
    return files | {"manifest.csv": "\n".join(rows).encode()}


def _mirrored(data: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(out, "PNG")
    return out.getvalue()


def _parted(archive: str, config: RunConfig, store: ArtifactStore, run: RunContext) -> list[Record]:
    snapshot = ingest([archive], config, store=store, run=run)
    grouping = group(validate(snapshot, config, store=store, run=run), config, store=store, run=run)
    gated = data_gate(grouping, config, store=store, run=run)
    return store.records(split(gated, config, store=store, run=run))


def test_patients_are_never_split_and_cells_are_scored(
    write_zip: WriteZip, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Cells are named or matched within a patient; scores count groups and cells."""
    records = _parted(write_zip("p.zip", members(PATIENTS)), config, store, run)
    shown: dict[str, set[str]] = {}
    for record in records:
        shown.setdefault(record.cell, set()).add(record.file.rpartition(".")[0])
    assert all(len(files) == 1 for files in shown.values())
    assert len(shown) == PATIENTS * 2 + 4
    assert {record.group for record in records} == {f"patient {n}" for n in range(PATIENTS)}
    assert len({(record.group, record.part) for record in records}) == PATIENTS
    for label in ("ROUND", "LOBED"):
        assert {r.part for r in records if r.label == label} == {"train", "val", "test"}
    # Half of the round cells are predicted wrongly, in all images of a cell.
    held = [record for record in records if record.part != "val"]
    wrong = {r.cell for r in held if r.label == "ROUND" and int(r.file.split("/")[1][0]) % 2}
    shares = np.array(
        [[0.9, 0.1] if (r.label == "ROUND") != (r.cell in wrong) else [0.1, 0.9] for r in held]
    )
    found = score_predictions(
        held, shares, np.zeros(len(held)), ("ROUND", "LOBED"), EvaluateConfig(draws=100)
    )
    cells = {(r.label, r.cell) for r in held}
    assert (found.images, found.cells) == (len(held), len(cells))
    assert found.groups == len({r.group for r in held})
    assert np.sum(found.by_cell.confusion) == len(cells)
    assert found.by_cell.confusion[0][1] == len(wrong)
    weights = sample_weights(records)
    of_cells = [weights[[r.cell == cell for r in records]].sum() for cell in shown]
    labels = [next(r.label for r in records if r.cell == cell) for cell in shown]
    rounds = [w for w, label in zip(of_cells, labels, strict=True) if label == "ROUND"]
    assert rounds == pytest.approx([rounds[0]] * len(rounds))
    table = list(csv.DictReader(io.StringIO(groups_csv(records))))
    assert list(table[0]) == ["file", "label", "group", "cell"]
    assert {row["cell"] for row in table} == set(shown)


def test_a_class_of_too_few_patients_is_rejected(
    write_zip: WriteZip, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Three lobed cells of two patients cannot be in three parts."""
    files = members(4, lobed=2)
    rows = files["manifest.csv"].decode().replace("0-1.png,ROUND", "0-1.png,LOBED")
    rows = rows.replace("0-1.jpeg,ROUND", "0-1.jpeg,LOBED")
    archive = write_zip("few.zip", files | {"manifest.csv": rows.encode()})
    with pytest.raises(InvalidInputError, match="class LOBED has too few groups") as error:
        _parted(archive, config, store, run)
    assert error.value.received == "2 groups, 0 of them locked"
