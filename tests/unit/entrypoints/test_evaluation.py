"""A promoted model on archives with unknown classes and unreadable files."""

import csv
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.artifacts import EngineParity, EvaluationManifest
from pipeline.config.evaluation import EvaluateConfig
from pipeline.contract.decision import read_review
from pipeline.entrypoints import served_models
from pipeline.errors import InvalidInputError
from pipeline.records import Record
from pipeline.run_context import RunContext
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.predictions import predict_images
from pipeline.steps.evaluation.scoring import score_predictions

if TYPE_CHECKING:
    from tests.conftest import Stage

Members = dict[str, bytes]


@pytest.fixture
def champion(
    stage: "Stage",
    cell_image: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Tag of a small real model that serves as `blood_cells`; MODEL_NAME is demo."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STORE_URI", str(stage.root))
    monkeypatch.setenv("MODEL_NAME", "demo")
    served = stage.publish(tmp_path / "bundle")
    images = [
        (Record(sha256=f"{n:064x}", label=label, file=label, archive="", group=str(n)), data)
        for n, (label, data) in enumerate(
            (label, cell_image(kind, shift=shift))
            for shift in (0, 8)
            for kind, label in enumerate(stage.contract.classes)
        )
    ]
    predictions = predict_images(images, served, tmp_path / "bundle", datetime.now(UTC))
    classes, config = stage.contract.classes, EvaluateConfig(draws=100)
    report = EvaluationReport(
        tag=served.manifest.tag,
        scores=score_predictions(
            predictions.records,
            predictions.probabilities,
            predictions.uncertainties,
            classes,
            config,
        ),
        parity=EngineParity(images=8, top1_agreement=1.0, max_probability_difference=0.0),
        rule=read_review(tmp_path / "bundle", stage.contract),
        mistakes=(),
    )
    folder = tmp_path / "evaluation"
    folder.mkdir()
    (folder / "report.json").write_text(report.model_dump_json())
    lines = [line.model_dump_json() for line in predictions.reference()]
    (folder / "reference.jsonl").write_text("\n".join(lines) + "\n")
    run = RunContext.now("test", "test").model_dump()
    evaluation = stage.artifacts.publish(
        folder, EvaluationManifest(name="blood_cells", tag=served.manifest.tag, **run)
    )
    first = stage.point_to(served)
    stage.pointers.move(first.model_copy(update={"evaluation": evaluation.uri}), first)
    return served.manifest.tag


@pytest.fixture
def archive(cell_image: Callable[..., bytes], tmp_path: Path) -> str:
    """48 cells, 12 of them under a misspelt class, and files that are not images."""
    folders = ("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "Neutrophils")
    path = tmp_path / "cells.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for kind, folder in enumerate(folders):
            for number in range(12):
                opened.writestr(f"{folder}/{number}.jpeg", cell_image(kind, shift=4 * number))
        opened.writestr("Neutrophils/readme.txt", "not an image")
        opened.writestr("MONOCYTE/broken.png", b"not an image either")
    return str(path)


def test_a_tag_names_the_model(champion: str) -> None:
    """Whatever MODEL_NAME is; a different name is refused, with both names."""
    assert served_models.find_model("", champion).tag == champion
    assert served_models.find_model("blood_cells", champion).tag == champion
    with pytest.raises(InvalidInputError, match="expected --name blood_cells, or none; received d"):
        served_models.find_model("demo", champion)
    with pytest.raises(InvalidInputError, match="blood_cells has no such model; expected blood_c"):
        served_models.find_model("", "blood_cells:0123456789ab")


@pytest.mark.field("misspelt_class")
@pytest.mark.field("stray_files")
def test_omissions_of_an_archive_are_reported_everywhere(
    champion: str,
    archive: str,
    run_command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """On stderr with the nearest class, in the summary line, in the report and in the CSV."""
    out, table = tmp_path / "report.json", tmp_path / "predictions.csv"
    words = ("--archive", archive, "--out", str(out), "--predictions", str(table))
    assert run_command("evaluate", *words, "--model", champion) == 0
    output = capsys.readouterr()
    assert (
        "warning: 12 images in 'Neutrophils' belong to no class of the model: "
        "did you mean NEUTROPHIL? Then rename the folder\n"
    ) in output.err
    assert "warning: 1 file is skipped: text: 'Neutrophils/readme.txt'\n" in output.err
    assert "'MONOCYTE/broken.png'\n" in output.err
    line, report = json.loads(output.out), json.loads(out.read_text())
    for result in (line, report):
        assert result["images"] == 36
        assert result["unknown_labels"] == {"Neutrophils": 12}
        assert sum(result["skipped"].values()) == 2
        assert result["nearest_classes"] == {"Neutrophils": "NEUTROPHIL"}
    assert {(one["file"], one["kind"]) for one in report["skipped_files"]} == {
        ("Neutrophils/readme.txt", "skipped"),
        ("MONOCYTE/broken.png", "skipped"),
    }
    assert report["unknown"]["images"] == 12
    with table.open() as opened:
        rows = list(csv.DictReader(opened))
    assert Counter(row["scored_as"] for row in rows) == {
        "class": 36,
        "unknown class": 12,
        **report["skipped"],
    }
    assert sorted(row["file"] for row in rows if not row["predicted"]) == [
        "MONOCYTE/broken.png",
        "Neutrophils/readme.txt",
    ]


@pytest.mark.field("stray_files")
def test_drift_reports_the_images_that_it_skips(
    champion: str,
    archive: str,
    run_command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Labels do not matter for drift, so all 48 images count, except unreadable files."""
    out = tmp_path / "drift.json"
    words = ("--archive", archive, "--out", str(out), "--window", "30", "--draws", "1")
    assert run_command("drift", *words, "--name", "blood_cells") == 0
    errors = capsys.readouterr().err
    assert "warning: 1 file is skipped: text: 'Neutrophils/readme.txt'\n" in errors
    assert "'MONOCYTE/broken.png'\n" in errors
    result = json.loads(out.read_text())
    assert (result["images"], result["unknown_labels"]) == (48, {"Neutrophils": 12})
    assert sum(result["skipped"].values()) == 2


@pytest.mark.field("stray_files")
def test_grouping_reports_the_images_that_it_leaves_out(
    archive: str,
    run_command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The CSV has 36 rows for 48 images, and stderr explains the rest."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    config = tmp_path / "cells.yaml"
    config.write_text(
        "contract: {name: cells, classes: [EOSINOPHIL, LYMPHOCYTE, MONOCYTE, NEUTROPHIL]}\n"
        "validation: {min_images_per_class: 0, max_quarantined_share: 1.0}\n"
    )
    out = tmp_path / "groups.csv"
    assert (
        run_command("group", "--archive", archive, "--out", str(out), "--config", str(config)) == 0
    )
    assert len(out.read_text().splitlines()) - 1 == 36
    output = capsys.readouterr().err
    assert "warning: 12 images in 'Neutrophils' belong to no class" in output
    assert "did you mean NEUTROPHIL? Then rename the folder" in output
    assert "warning: 1 file is skipped: text: 'Neutrophils/readme.txt'\n" in output
    assert "'MONOCYTE/broken.png'\n" in output
    words = ("--archive", archive, "--out", str(out), "--config", str(config), "--json")
    assert run_command("group", *words) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["images"], report["skipped"]["text"], report["ignored"]) == (36, 1, {})
    assert {"file": "Neutrophils/readme.txt", "kind": "skipped", "reason": "text"} in (
        report["skipped_files"]
    )


@pytest.mark.field("foreign_classes")
def test_an_archive_of_other_classes_is_scored_as_out_of_domain(
    champion: str,
    cell_image: Callable[..., bytes],
    run_command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """No accuracy, but the novelty of every image, and one sentence with both lists of classes."""
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for number in range(12):
            folder = "fold_0/hem" if number % 3 else "fold_0/all [b]"
            opened.writestr(f"{folder}/{number}.jpeg", cell_image(number % 4, shift=4 * number))
    out, table, drift = (tmp_path / name for name in ("report.json", "p.csv", "drift.json"))
    words = ("--archive", str(path), "--out", str(out), "--predictions", str(table))
    assert run_command("evaluate", *words, "--model", champion) == 0
    output = capsys.readouterr()
    remark = (
        "no folder of the archive is a class of the model: the labels are 'hem', 'all [b]', "
        "the classes EOSINOPHIL, LYMPHOCYTE, MONOCYTE, NEUTROPHIL"
    )
    assert f"warning: {remark}\n" in output.err
    line, report = json.loads(output.out), json.loads(out.read_text())
    assert line["remark"] == report["remark"] == remark
    assert (line["images"], line["unknown"]) == (0, report["unknown"])
    assert report["unknown"]["images"] == 12
    with table.open() as opened_table:
        assert {row["scored_as"] for row in csv.DictReader(opened_table)} == {"unknown class"}
    options = ("--window", "12", "--draws", "1", "--name", "blood_cells")
    assert run_command("drift", "--archive", str(path), "--out", str(drift), *options) == 0
    assert json.loads(drift.read_text())["remark"] == remark


def test_a_class_with_unreadable_images_alone_is_a_class(
    champion: str, run_command: Callable[..., int], tmp_path: Path, cell_image: Callable[..., bytes]
) -> None:
    """The remark says that no folder is a class, which is then wrong."""
    path, out = tmp_path / "other.zip", tmp_path / "report.json"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("hem/1.jpeg", cell_image(1))
        opened.writestr("NEUTROPHIL/1.png", b"not an image")
    table = str(tmp_path / "p.csv")
    words = ("--archive", str(path), "--out", str(out), "--predictions", table)
    assert run_command("evaluate", *words, "--model", champion) == 0
    assert json.loads(out.read_text())["remark"] == ""


@pytest.mark.field("misspelt_class")
def test_many_unknown_labels_are_summarised(
    champion: str,
    cell_image: Callable[..., bytes],
    run_command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """The terminal has the first twelve, the JSON has all; patterns leave files out."""
    path, out = tmp_path / "other.zip", tmp_path / "report.json"
    with zipfile.ZipFile(path, "w") as opened:
        for number in range(14):
            opened.writestr(f"patient {number}/1.jpeg", cell_image(1, shift=number))
            opened.writestr(f"NEUTROPHIL/{number}.jpeg", cell_image(3, shift=number))
    table = str(tmp_path / "p.csv")
    words = ("--archive", str(path), "--out", str(out), "--predictions", table)
    assert run_command("evaluate", *words, "--model", champion) == 0
    assert "warning: and 2 other labels\n" in capsys.readouterr().err
    assert len(json.loads(out.read_text())["unknown_labels"]) == 14
    assert run_command("evaluate", *words, "--model", champion, "--include", "NEUTROPHIL") == 0
    report = json.loads(out.read_text())
    assert report["unknown_labels"] == {}
    assert report["skipped"] == {"not matched by ingest.include": 14}
    assert run_command("evaluate", *words, "--model", champion, "--exclude", "**.jpg") == 2
    assert "invalid exclude pattern" in capsys.readouterr().err
