"""Cells that contradict themselves are set aside or stop the run, and are shown side by side."""

import io
from collections.abc import Callable

import pytest
from PIL import Image

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, GroupingManifest
from pipeline.config import DataGateConfig, RunConfig
from pipeline.records import Link, Quarantined, Record, from_csv
from pipeline.run import RunContext
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import HOME
from pipeline.steps.data_gate import (
    contradicted_returns,
    data_gate,
    disputed,
    examine,
    gate_rules,
)
from pipeline.steps.group import group
from pipeline.steps.ingest import ingest
from pipeline.steps.split import split
from pipeline.steps.validate import DatasetRefusedError, validate

WriteZip = Callable[..., str]


def _copy(data: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def grouping(
    write_zip: WriteZip, config: RunConfig, store: ArtifactStore, run: RunContext
) -> Artifact[GroupingManifest]:
    """Eight cells, the first of which stands in both class folders."""
    drawn = [data for _, data in draw_images(4, 8, HOME)]
    members = {f"{('ROUND', 'LOBED')[n % 2]}/{n}.jpeg": data for n, data in enumerate(drawn)}
    members["LOBED/mirrored.png"] = _copy(drawn[0])
    snapshot = ingest([write_zip("two.zip", members)], config, store=store, run=run)
    dataset = validate(snapshot, config, store=store, run=run)
    return group(dataset, config, store=store, run=run)


def _lenient(config: RunConfig, policy: str) -> RunConfig:
    gate = DataGateConfig.model_validate({"two_labels": policy, "max_quarantined_share": 0.5})
    return config.model_copy(update={"data_gate": gate})


def test_a_cell_under_two_labels_is_set_aside(
    grouping: Artifact[GroupingManifest], config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """All its images leave the records, are counted, and never reach train or test."""
    passed = data_gate(grouping, _lenient(config, "quarantine"), store=store, run=run)
    assert passed.manifest.counts == {"images": 7, "groups": 7, "hinted": 0, "quarantined": 2}
    aside = from_csv(store.read(passed, "quarantine.csv").decode(), Quarantined)
    assert {(q.file, q.reason) for q in aside} == {
        ("ROUND/0.jpeg", "the same cell is labelled LOBED and ROUND"),
        ("LOBED/mirrored.png", "the same cell is labelled LOBED and ROUND"),
    }
    dealt = store.records(split(passed, config, store=store, run=run))
    assert not {record.sha256 for record in dealt} & {image.sha256 for image in aside}


def test_the_pair_is_shown(
    grouping: Artifact[GroupingManifest], config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The report shows both images and one laid on the other, and is the same the next time."""
    lenient = _lenient(config, "quarantine")
    passed = data_gate(grouping, lenient, store=store, run=run)
    page = store.read(passed, "report.html").decode()
    shown = page.split("One cell under two labels")[1].split("<h2>")[0]
    assert shown.count("data:image/jpeg;base64") == 3
    assert "0.jpeg" in shown
    assert "mirrored.png" in shown
    again = data_gate(grouping, lenient, store=store, run=RunContext.now("again", "again"))
    assert again.uri == passed.uri


def test_policy_may_stop(
    grouping: Artifact[GroupingManifest], config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """With `stop` nothing is trained on before a person has looked at the page."""
    with pytest.raises(DatasetRefusedError, match="labelled LOBED and ROUND") as refused:
        data_gate(grouping, _lenient(config, "stop"), store=store, run=run)
    assert "mirrored.png" in refused.value.page


def test_too_many_disputes_stop(
    grouping: Artifact[GroupingManifest], config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Where a large share would be set aside the labels are in doubt, not a few cells."""
    with pytest.raises(DatasetRefusedError, match="too many images"):
        data_gate(grouping, config, store=store, run=run)


def test_links_are_sorted_by_what_they_contradict() -> None:
    """Labels, given names and the locked part; a locked image from elsewhere has no label."""
    records = [
        _record("a", "ROUND"),
        _record("b", "LOBED"),
        _record("c", "ROUND", "slide 1"),
        _record("d", "ROUND", "slide 2"),
        _record("e", ""),
    ]
    links = [_link("a", "b", 40), _link("c", "d", 30), _link("d", "e", 20)]
    found = examine(records, links, {"e"})
    assert found.two_labels == links[:1]
    assert found.named_apart == links[1:2]
    assert found.of_locked == links[2:]
    assert found.weakest == links[::-1]


def test_a_given_name_may_cover_many_cells() -> None:
    """A patient has cells of all classes: only images linked to each other are one cell."""
    records = [_record(name, label, "patient") for name, label in ("aR", "bL", "cR", "dL")]
    aside = disputed(records, [_link("a", "b", 40)])
    assert [image.sha256 for image in aside] == ["a", "b"]


def test_labels_meet_through_a_locked_image() -> None:
    """Two images that show the cell of one that left are one cell, under two labels."""
    records = [_record("a", "R"), _record("b", "L"), _record("e", "")]
    aside = disputed(records, [_link("a", "e", 40), _link("b", "e", 40)])
    assert [image.sha256 for image in aside] == ["a", "b"]


def test_a_returned_label_does_not_outvote_an_archive() -> None:
    """It goes alone, stops nothing under either policy, and the archive's images stay."""
    records = [_record("a", "R"), _record("b", "R"), _record("c", "L", file="returned/c.png")]
    links = [_link("a", "b", 40), _link("b", "c", 40)]
    outvoted = contradicted_returns(records, links)
    assert [(image.sha256, image.reason) for image in outvoted] == [
        ("c", "a returned label, while the archives say R")
    ]
    stop = DataGateConfig.model_validate({"two_labels": "stop", "max_quarantined_share": 0.0})
    assert all(rule.kept for rule in gate_rules(3, [], outvoted, stop))


def test_returned_labels_that_only_contradict_each_other_are_a_dispute() -> None:
    """No archive says who is right, so neither teaches."""
    records = [_record(name, name.upper(), file=f"returned/{name}.png") for name in "ab"]
    links = [_link("a", "b", 40)]
    assert contradicted_returns(records, links) == []
    assert [image.sha256 for image in disputed(records, links)] == ["a", "b"]


def test_a_returned_label_may_take_a_side() -> None:
    """Where archives disagree already, one of their labels is no contradiction of them."""
    records = [_record("a", "R"), _record("b", "L"), _record("c", "L", file="returned/c.png")]
    links = [_link("a", "b", 40), _link("b", "c", 40)]
    assert contradicted_returns(records, links) == []
    assert [image.sha256 for image in disputed(records, links)] == ["a", "b", "c"]


def test_no_dispute_keeps_all_rules() -> None:
    """A clean dataset passes under either policy."""
    for policy in ("quarantine", "stop"):
        gate = DataGateConfig.model_validate({"two_labels": policy})
        assert all(rule.kept for rule in gate_rules(10, [], [], gate))


def _record(sha256: str, label: str, hint: str = "", file: str = "") -> Record:
    return Record(
        sha256=sha256, label=label, file=file or sha256, archive="", hint=hint, group=hint
    )


def _link(one: str, other: str, inliers: int) -> Link:
    return Link(one=one, other=other, inliers=inliers)
