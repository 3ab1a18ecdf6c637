"""Cells under two labels are quarantined or refuse the dataset; the page shows the pairs."""

import io
from collections.abc import Callable

import pytest
from PIL import Image

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, GroupingManifest
from pipeline.config.data_gate_limits import DataGateConfig
from pipeline.config.run_config import RunConfig
from pipeline.records import Quarantined, from_csv
from pipeline.run_context import RunContext
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import IN_DOMAIN
from pipeline.steps.cells.data_gate import cells_rule, data_gate, label_rules
from pipeline.steps.cells.group import group
from pipeline.steps.cells.split import split
from pipeline.steps.dataset.ingest import ingest
from pipeline.steps.dataset.validate import DatasetRefusedError, validate

WriteZip = Callable[..., str]


def _copy(data: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def grouping(
    write_zip: WriteZip, config: RunConfig, store: ArtifactStore, run: RunContext
) -> Artifact[GroupingManifest]:
    """Eight cells; images of the first are in both class folders."""
    drawn = [data for _, data in draw_images(4, 8, IN_DOMAIN)]
    members = {f"{('ROUND', 'LOBED')[n % 2]}/{n}.jpeg": data for n, data in enumerate(drawn)}
    members["LOBED/mirrored.png"] = _copy(drawn[0])
    snapshot = ingest([write_zip("two.zip", members)], config, store=store, run=run)
    dataset = validate(snapshot, config, store=store, run=run)
    return group(dataset, config, store=store, run=run)


def _lenient(config: RunConfig, policy: str) -> RunConfig:
    gate = DataGateConfig.model_validate({"two_labels": policy, "max_quarantined_share": 0.5})
    return config.model_copy(update={"data_gate": gate})


def test_a_cell_under_two_labels_is_quarantined(
    grouping: Artifact[GroupingManifest], config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """All its images leave the records, are counted, and are in no part of the split."""
    passed = data_gate(grouping, _lenient(config, "quarantine"), store=store, run=run)
    counts = {"images": 7, "groups": 7, "cells": 7, "hinted": 0, "quarantined": 2}
    assert passed.manifest.counts == counts
    quarantined = from_csv(store.read(passed, "quarantine.csv").decode(), Quarantined)
    assert {(q.file, q.reason) for q in quarantined} == {
        ("ROUND/0.jpeg", "the same cell is labelled LOBED and ROUND"),
        ("LOBED/mirrored.png", "the same cell is labelled LOBED and ROUND"),
    }
    assigned = store.records(split(passed, config, store=store, run=run))
    assert not {record.sha256 for record in assigned} & {image.sha256 for image in quarantined}


def test_the_page_shows_the_pair(
    grouping: Artifact[GroupingManifest], config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The page has both images and their overlay; a second run publishes the same artefact."""
    lenient = _lenient(config, "quarantine")
    passed = data_gate(grouping, lenient, store=store, run=run)
    page = store.read(passed, "report.html").decode()
    shown = page.split("One cell under two labels")[1].split("<h2>")[0]
    assert shown.count("data:image/jpeg;base64") == 3
    assert "0.jpeg" in shown
    assert "mirrored.png" in shown
    again = data_gate(grouping, lenient, store=store, run=RunContext.now("again", "again"))
    assert again.uri == passed.uri


def test_the_policy_stop_refuses_the_dataset(
    grouping: Artifact[GroupingManifest], config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """With `two_labels: stop`, one cell under two labels refuses the dataset."""
    with pytest.raises(DatasetRefusedError, match="labelled LOBED and ROUND") as refused:
        data_gate(grouping, _lenient(config, "stop"), store=store, run=run)
    assert "mirrored.png" in refused.value.page


def test_too_many_cells_under_two_labels_refuse_the_dataset(
    grouping: Artifact[GroupingManifest], config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """A quarantined share above the limit refuses the dataset."""
    with pytest.raises(DatasetRefusedError, match="too many images"):
        data_gate(grouping, config, store=store, run=run)


def test_a_dataset_without_contradictions_passes() -> None:
    """It passes under either policy."""
    for policy in ("quarantine", "stop"):
        gate = DataGateConfig.model_validate({"two_labels": policy})
        assert all(rule.passed for rule in label_rules(10, [], [], gate))


def test_a_class_of_fewer_than_three_cells_is_refused() -> None:
    """The rule names each class with too few cells for three parts."""
    assert cells_rule({"ROUND": 3, "LOBED": 3}).passed
    rule = cells_rule({"ROUND": 1, "LOBED": 2, "OVAL": 0, "THIN": 9})
    assert not rule.passed
    assert rule.problem.startswith(
        "class ROUND has one cell, class LOBED has 2 cells, class OVAL has no cell; "
        "at least 3 are needed"
    )
    assert rule.expected == "at least 3 of each of ROUND, LOBED, OVAL, THIN"
    assert rule.received == "ROUND 1, LOBED 2, OVAL 0"


def test_a_class_of_one_cell_refuses_the_dataset(
    write_zip: WriteZip, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Error and page name the class, also if the one cell has several photographs."""
    drawn = [data for _, data in draw_images(4, 4, IN_DOMAIN)]
    members = {f"ROUND/{n}.jpeg": data for n, data in enumerate(drawn[:3])}
    members |= {"LOBED/a.jpeg": drawn[3], "LOBED/b.png": _copy(drawn[3])}
    snapshot = ingest([write_zip("one.zip", members)], config, store=store, run=run)
    grouped = group(validate(snapshot, config, store=store, run=run), config, store=store, run=run)
    with pytest.raises(DatasetRefusedError, match=r"class LOBED has one cell; at least 3") as error:
        data_gate(grouped, config, store=store, run=run)
    assert "Class LOBED has one cell" in error.value.page
