"""The report a person reads: mistakes that matter, the page, the model card."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.adapters.artifact_store import sha256_bytes
from pipeline.adapters.image_packs import read_images, write_packs
from pipeline.artifacts import ArchiveManifest, Artifact, EngineParity, ServedManifest
from pipeline.config import EvaluateConfig, RunConfig
from pipeline.contract.decision import ReviewRule
from pipeline.records import Record
from pipeline.run import RunContext
from pipeline.steps.evaluation import evaluation_page
from pipeline.steps.evaluation.evaluate import predictions_csv
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.lineage import trace
from pipeline.steps.evaluation.mistakes import Mistake, explain_mistakes, worst_mistakes
from pipeline.steps.evaluation.model_card import model_card
from pipeline.steps.evaluation.predictions import Predictions, predict_images
from pipeline.steps.evaluation.scoring import score_predictions

if TYPE_CHECKING:
    from tests.conftest import Stage

PREVALENCE = {"EOSINOPHIL": 3, "LYMPHOCYTE": 30, "MONOCYTE": 5, "NEUTROPHIL": 62}


class Judged:
    """Drawn cells answered by a small real model, and labelled so that three answers are wrong."""

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
        said = predict_images(read_images(stage.artifacts, records), self.served, files, when)
        self.records = [
            _labelled(record, told.label, stage.contract.classes)
            for record, told in zip(said.records, said.predictions, strict=True)
        ]
        self.answers: Predictions = replace(said, records=self.records)

    def report(self) -> EvaluationReport:
        """The figures, as `evaluate` works them out."""
        told = self.answers
        return EvaluationReport(
            tag=self.served.manifest.tag,
            scores=score_predictions(
                told.records,
                told.probabilities,
                told.uncertainties,
                self.stage.contract.classes,
                self.config.evaluate,
            ),
            parity=EngineParity(images=12, top1_agreement=1.0, max_probability_difference=0.01),
            rule=ReviewRule(min_confidence=0.8, max_distance=100, centre=(0.0,) * 8),
            mistakes=worst_mistakes(told, 5),
        )


def _archived(stage: "Stage", images: dict[tuple[int, int], bytes], folder: Path) -> list[Record]:
    """Images in a store, those of the first kind but one as one cell."""
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


def _labelled(record: Record, said: str, classes: tuple[str, ...]) -> Record:
    """What the model said, but for three images of two cells."""
    if record.file not in {"<0+0>.jpeg", "<0+8>.jpeg", "<2+0>.jpeg"}:
        return record.model_copy(update={"label": said})
    return record.model_copy(update={"label": classes[(classes.index(said) + 1) % len(classes)]})


@pytest.fixture
def judged(stage: "Stage", cell_image: Callable[..., bytes], tmp_path: Path) -> Judged:
    """A model whose three wrong answers show two cells."""
    return Judged(stage, cell_image, tmp_path)


def test_each_mistaken_cell_is_shown_once_surest_first(judged: Judged) -> None:
    """Forty copies of one mistake are one mistake, and say so."""
    found = worst_mistakes(judged.answers, 5)
    assert {(m.group, m.wrong_images, m.images) for m in found} == {
        ("cell 0", 2, 2),
        ("cell 2+0", 1, 1),
    }
    assert [m.uncertainty for m in found] == sorted(m.uncertainty for m in found)
    assert all(m.confidence > m.truth_probability for m in found)
    assert worst_mistakes(judged.answers, 1) == found[:1]


def test_reports_of_version_0_1_are_read(judged: Judged) -> None:
    """Their field `doubt` is read as `uncertainty`, and only the new name is written."""
    (mistake,) = worst_mistakes(judged.answers, 1)
    written = mistake.model_dump(mode="json")
    assert "doubt" not in written
    old = {"doubt" if name == "uncertainty" else name: value for name, value in written.items()}
    assert Mistake.model_validate(old) == mistake


def test_evidence_is_asked_of_the_served_engine(judged: Judged) -> None:
    """The mean-colour model looks at the plasma in the middle, and nowhere near the corners."""
    evidence = explain_mistakes(
        worst_mistakes(judged.answers, 5),
        judged.records,
        judged.served,
        store=judged.stage.artifacts,
    )
    assert len(evidence) == 2
    for one in evidence:
        assert one.worth.shape == (6, 6)
        assert np.abs(one.worth[5]).max() == pytest.approx(0, abs=1e-3)
        assert np.abs(one.worth[1]).max() > 0


def test_the_page_stands_alone_and_shows_every_figure(judged: Judged) -> None:
    """No file, script or host beside it is needed; names from archives are text, not markup."""
    report = judged.report()
    evidence = explain_mistakes(
        report.mistakes, judged.records, judged.served, store=judged.stage.artifacts
    )
    html = evaluation_page.render(report, evidence, judged.served.manifest)
    assert not re.findall(r'(?:src|href)="(?!data:|report\.json|model_card\.md|\.\./)', html)
    assert "<script" not in html
    assert html.count("data:image/jpeg") == 3 * 2
    assert "&lt;2+0&gt;.jpeg" in html
    assert evaluation_page.percent(report.scores.balanced_accuracy.value) in html
    assert evaluation_page.render(report, evidence, judged.served.manifest) == html


def test_a_faultless_model_has_a_page(judged: Judged) -> None:
    """No mistakes, no figure that needs one, no prevalence, and no interval without width."""
    told = judged.answers
    right = [
        record.model_copy(update={"label": said.label})
        for record, said in zip(told.records, told.predictions, strict=True)
    ]
    classes = judged.stage.contract.classes
    config = EvaluateConfig(draws=100)
    figures = score_predictions(right, told.probabilities, told.uncertainties, classes, config)
    report = judged.report().model_copy(update={"scores": figures, "mistakes": ()})
    html = evaluation_page.render(report, [], judged.served.manifest)
    assert "No held-out image was named wrongly." in html
    assert "typical" not in html
    card = model_card(report, judged.served.manifest, right, (), judged.config)
    shown = [
        *re.findall(r"([\d.]+) to ([\d.]+) %", html),
        *re.findall(r"([\d.]+)\u2013([\d.]+)", html),
    ]
    shown += re.findall(r"\(([\d.]+) to ([\d.]+)\)", card)
    assert len(shown) > 30
    assert all(float(low) < float(high) for low, high in shown)


def test_the_card_says_what_the_model_is_not_for(judged: Judged) -> None:
    """Intended use, limits, data, lineage and figures, each from its source."""
    report = judged.report()
    lineage = trace(judged.served.uri, judged.stage.artifacts)
    card = model_card(report, judged.served.manifest, judged.records, lineage, judged.config)
    assert "**Research use, not for diagnosis.**" in card
    for heading in ("Intended use", "Limits", "Data", "Figures", "Review", "Lineage"):
        assert f"\n## {heading}\n" in card
    assert f"`{judged.served.uri}`" in card
    assert re.search(r"\| EOSINOPHIL \| 0 \(0\) \| 0 \(0\) \| \d+ \(\d+\) \|", card)
    assert f"{report.scores.balanced_accuracy.value:.3f}" in card
    tables = re.findall(r"(?m)^\|.*\|$", card)
    assert len(tables) == card.count("\n|") + card.startswith("|")


def test_predictions_are_listed_one_a_row(judged: Judged) -> None:
    """The columns that `evaluate --predictions` promises."""
    header, *rows = predictions_csv(judged.answers).splitlines()
    assert header == (
        "file,label,predicted,confidence,decision,p_EOSINOPHIL,p_LYMPHOCYTE,p_MONOCYTE,"
        "p_NEUTROPHIL,group,cell"
    )
    assert len(rows) == 12


def test_the_figures_are_json_that_anyone_reads(judged: Judged) -> None:
    """No infinity or NaN, which are no JSON, and back to the same report."""
    report = judged.report()
    body = json.dumps(report.model_dump(mode="json"), allow_nan=False)
    assert EvaluationReport.model_validate_json(body) == report
