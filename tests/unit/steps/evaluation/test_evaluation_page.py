"""Worst mistakes, the evaluation page, the model card and the CSV of predictions."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.adapters.image_packs import read_images, write_packs
from pipeline.artifacts import ArchiveManifest, Artifact, EngineParity, ServedManifest
from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.run_config import RunConfig
from pipeline.contract.decision import ReviewRule
from pipeline.digests import sha256_bytes
from pipeline.records import Record
from pipeline.run_context import RunContext
from pipeline.steps.evaluation import evaluation_page
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.lineage import trace
from pipeline.steps.evaluation.mistakes import Mistake, explain_mistakes, worst_mistakes
from pipeline.steps.evaluation.model_card import model_card
from pipeline.steps.evaluation.predictions import Predictions, predict_images, predictions_csv
from pipeline.steps.evaluation.scoring import score_predictions

if TYPE_CHECKING:
    from tests.conftest import Stage

PREVALENCE = {"EOSINOPHIL": 3, "LYMPHOCYTE": 30, "MONOCYTE": 5, "NEUTROPHIL": 62}


class Evaluation:
    """Predictions of a small real model for drawn cells; the labels make three of them wrong."""

    def __init__(self, stage: "Stage", draw: Callable[..., bytes], folder: Path) -> None:
        self.stage = stage
        self.config = RunConfig(
            contract=stage.contract, evaluate=EvaluateConfig(draws=100, prevalence=PREVALENCE)
        )
        self.served: Artifact[ServedManifest] = stage.publish(folder / "bundle")
        images = {(kind, x): draw(kind, shift=x) for kind in range(4) for x in (-8, 0, 8)}
        records = _archived(stage, images, folder / "packs")
        files = stage.artifacts.fetch(self.served, folder / "served")
        when = datetime(2026, 11, 1, tzinfo=UTC)
        stored = read_images(stage.artifacts, records)
        predictions = predict_images(stored, self.served, files, when)
        classes = stage.contract.classes
        self.records = [_labelled(record, logged.label, classes) for record, logged in predictions]
        self.predictions: Predictions = replace(predictions, records=self.records)

    def report(self) -> EvaluationReport:
        """The report as `evaluate` computes it."""
        return EvaluationReport(
            tag=self.served.manifest.tag,
            scores=score_predictions(
                self.records,
                self.predictions.probabilities,
                self.predictions.uncertainties,
                self.stage.contract.classes,
                self.config.evaluate,
            ),
            parity=EngineParity(images=12, top1_agreement=1.0, max_probability_difference=0.01),
            rule=ReviewRule(min_confidence=0.8, max_distance=100, centre=(0.0,) * 8),
            mistakes=worst_mistakes(self.predictions, 5),
        )


def _archived(stage: "Stage", images: dict[tuple[int, int], bytes], folder: Path) -> list[Record]:
    """Publish images; two of the first kind show one cell, the others a cell each."""
    folder.mkdir()
    by_hash = {sha256_bytes(data): data for data in images.values()}
    write_packs(folder, list(by_hash), by_hash.__getitem__)
    run = RunContext.now("test", "test").model_dump()
    manifest = ArchiveManifest(name="blood_cells", sha256="0" * 64, bytes=1, **run)
    uri = stage.artifacts.publish(folder, manifest).uri
    return [
        Record(
            sha256=sha256_bytes(data),
            label="",
            file=f"<{kind}{x:+d}>.jpeg",
            archive=uri,
            group="cell 0" if kind == 0 and x >= 0 else f"cell {kind}{x:+d}",
            part="test",
        )
        for (kind, x), data in images.items()
    ]


def _labelled(record: Record, predicted: str, classes: tuple[str, ...]) -> Record:
    """The record with the predicted class as label, but for three images of two cells."""
    wrong = record.file in {"<0+0>.jpeg", "<0+8>.jpeg", "<2+0>.jpeg"}
    label = classes[(classes.index(predicted) + wrong) % len(classes)]
    return record.model_copy(update={"label": label})


@pytest.fixture
def evaluation(stage: "Stage", cell_image: Callable[..., bytes], tmp_path: Path) -> Evaluation:
    """Three wrong predictions for images of two cells."""
    return Evaluation(stage, cell_image, tmp_path)


def test_mistakes_are_one_per_cell_by_uncertainty(
    evaluation: Evaluation,
) -> None:
    """A cell with several wrong images is one mistake that counts them."""
    mistakes = worst_mistakes(evaluation.predictions, 5)
    assert {(m.group, m.wrong_images, m.images) for m in mistakes} == {
        ("cell 0", 2, 2),
        ("cell 2+0", 1, 1),
    }
    assert [m.uncertainty for m in mistakes] == sorted(m.uncertainty for m in mistakes)
    assert all(m.confidence > m.truth_probability for m in mistakes)
    assert worst_mistakes(evaluation.predictions, 1) == mistakes[:1]


def test_reports_of_version_0_1_are_read(evaluation: Evaluation) -> None:
    """Their field `doubt` is read as `uncertainty`, and only the new name is written."""
    (mistake,) = worst_mistakes(evaluation.predictions, 1)
    written = mistake.model_dump(mode="json")
    assert "doubt" not in written
    old = {"doubt" if name == "uncertainty" else name: value for name, value in written.items()}
    assert Mistake.model_validate(old) == mistake


def test_occlusion_maps_come_from_the_served_engine(evaluation: Evaluation) -> None:
    """The mean-colour model reacts to the plasma in the middle, not to the corners."""
    explained = explain_mistakes(
        worst_mistakes(evaluation.predictions, 5),
        evaluation.records,
        evaluation.served,
        store=evaluation.stage.artifacts,
    )
    assert len(explained) == 2
    for mistake in explained:
        assert mistake.log_odds.shape == (6, 6)
        assert np.abs(mistake.log_odds[5]).max() == pytest.approx(0, abs=1e-3)
        assert np.abs(mistake.log_odds[1]).max() > 0


def test_the_page_is_self_contained_and_shows_the_metrics(evaluation: Evaluation) -> None:
    """It loads no script, file or host; file names from archives are escaped."""
    report = evaluation.report()
    explained = explain_mistakes(
        report.mistakes, evaluation.records, evaluation.served, store=evaluation.stage.artifacts
    )
    html = evaluation_page.render(report, explained, evaluation.served.manifest)
    assert not re.findall(r'(?:src|href)="(?!data:|report\.json|model_card\.md|\.\./)', html)
    assert "<script" not in html
    assert html.count("data:image/jpeg") == 3 * 2
    assert "&lt;2+0&gt;.jpeg" in html
    assert evaluation_page.percent(report.scores.balanced_accuracy.value) in html
    assert evaluation_page.render(report, explained, evaluation.served.manifest) == html


def test_a_model_without_mistakes_has_a_page(evaluation: Evaluation) -> None:
    """No mistakes, no prevalence, and no interval of width zero."""
    predictions = evaluation.predictions
    right = [record.model_copy(update={"label": logged.label}) for record, logged in predictions]
    classes = evaluation.stage.contract.classes
    config = EvaluateConfig(draws=100)
    scores = score_predictions(
        right, predictions.probabilities, predictions.uncertainties, classes, config
    )
    report = evaluation.report().model_copy(update={"scores": scores, "mistakes": ()})
    html = evaluation_page.render(report, [], evaluation.served.manifest)
    assert "No image of the test part is misclassified." in html
    assert "typical" not in html
    card = model_card(report, evaluation.served.manifest, right, (), evaluation.config)
    shown = [
        *re.findall(r"([\d.]+) to ([\d.]+) %", html),
        *re.findall(r"([\d.]+)\u2013([\d.]+)", html),
    ]
    shown += re.findall(r"\(([\d.]+) to ([\d.]+)\)", card)
    assert len(shown) > 30
    assert all(float(low) < float(high) for low, high in shown)


def test_the_model_card_has_all_sections(evaluation: Evaluation) -> None:
    """Intended use, limits, data, metrics, review rule and lineage."""
    report = evaluation.report()
    lineage = trace(evaluation.served.uri, evaluation.stage.artifacts)
    card = model_card(
        report, evaluation.served.manifest, evaluation.records, lineage, evaluation.config
    )
    assert "**Research use, not for diagnosis.**" in card
    for heading in ("Intended use", "Limits", "Data", "Figures", "Review", "Lineage"):
        assert f"\n## {heading}\n" in card
    assert f"`{evaluation.served.uri}`" in card
    assert re.search(r"\| EOSINOPHIL \| 0 \(0\) \| 0 \(0\) \| \d+ \(\d+\) \|", card)
    assert f"{report.scores.balanced_accuracy.value:.3f}" in card
    tables = re.findall(r"(?m)^\|.*\|$", card)
    assert len(tables) == card.count("\n|") + card.startswith("|")


def test_the_csv_has_one_row_per_prediction(evaluation: Evaluation) -> None:
    """The columns are those of `evaluate --predictions`."""
    header, *rows = predictions_csv(evaluation.predictions).splitlines()
    assert header == (
        "file,label,predicted,confidence,decision,p_EOSINOPHIL,p_LYMPHOCYTE,p_MONOCYTE,"
        "p_NEUTROPHIL,group,cell"
    )
    assert len(rows) == 12


def test_the_report_is_standard_json(evaluation: Evaluation) -> None:
    """It has no infinity and no NaN, and is read back as the same report."""
    report = evaluation.report()
    body = json.dumps(report.model_dump(mode="json"), allow_nan=False)
    assert EvaluationReport.model_validate_json(body) == report
