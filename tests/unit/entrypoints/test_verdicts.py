"""The gate of a real bundle whose classes are not the champion's."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.artifacts import (
    Artifact,
    BundleManifest,
    EngineParity,
    EvaluationManifest,
    ServedManifest,
    SplitManifest,
)
from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.promotion_gate_limits import GateConfig
from pipeline.config.run_config import RunConfig
from pipeline.contract.decision import read_review
from pipeline.records import Record, to_csv
from pipeline.run_context import RunContext
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.predictions import predict_images
from pipeline.steps.evaluation.scoring import score_predictions
from pipeline.steps.promotion.gate import GateInputs, gate

if TYPE_CHECKING:
    from tests.conftest import Stage


def _evaluation(
    stage: "Stage",
    served: Artifact[ServedManifest],
    folder: Path,
    images: list[tuple[Record, bytes]],
) -> Artifact[EvaluationManifest]:
    """Publish a split of the images and the model's evaluation on it."""
    predictions = predict_images(images, served, folder, datetime.now(UTC))
    scores = score_predictions(
        predictions.records,
        predictions.probabilities,
        predictions.uncertainties,
        served.manifest.contract.classes,
        EvaluateConfig(draws=100),
    )
    parity = EngineParity(images=8, top1_agreement=1.0, max_probability_difference=0.0)
    report = EvaluationReport(
        tag=served.manifest.tag,
        scores=scores,
        parity=parity,
        rule=read_review(folder, served.manifest.contract),
        mistakes=(),
    )
    run = RunContext.now("test", "test").model_dump()
    store, name = stage.artifacts, stage.contract.name
    records = to_csv([record for record, _ in images], Record)
    split = store.publish_texts({"records.csv": records}, SplitManifest(name=name, **run))
    lines = "\n".join(line.model_dump_json() for line in predictions.reference())
    inputs = {"served": served.uri, "split": split.uri}
    return store.publish_texts(
        {"report.json": report.model_dump_json(), "reference.jsonl": lines},
        EvaluationManifest(name=name, tag=served.manifest.tag, inputs=inputs, **run),
    )


def _served(stage: "Stage", folder: Path, seed: int) -> Artifact[ServedManifest]:
    """Publish a served bundle whose Keras bundle lists no training records."""
    served = stage.publish(folder, seed)
    bundle = stage.artifacts.publish_texts(
        {"training.csv": to_csv([], Record)},
        BundleManifest(name=stage.contract.name, **RunContext.now("test", "test").model_dump()),
    )
    changed = {"inputs": {"bundle": bundle.uri}, "files": {}}
    return stage.artifacts.publish(folder, served.manifest.model_copy(update=changed))


@pytest.mark.field("respelt_class")
def test_a_champion_with_a_respelt_class_is_not_compared(
    stage: "Stage", cell_image: Callable[..., bytes], tmp_path: Path
) -> None:
    """The verdict refuses with both lists, whatever the accuracy."""
    champion = stage.point_to(_served(stage, tmp_path / "old", 0))
    classes = (*stage.contract.classes[:3], "Neutrophil")
    contract = stage.contract.model_copy(update={"classes": classes})
    respelt = replace(stage, contract=contract)
    challenger = _served(respelt, tmp_path / "new", 1)
    row = Record(sha256="", label="", file="x", archive="", part="test")
    images = [
        (
            row.model_copy(update={"sha256": f"{n:064x}", "label": classes[kind], "group": str(n)}),
            cell_image(kind, shift=4 * n),
        )
        for n, kind in enumerate([0, 1, 2, 3] * 2)
    ]
    evaluation = _evaluation(respelt, challenger, tmp_path / "new", images)
    _, verdict = gate(
        GateInputs(challenger, evaluation, champion),
        RunConfig(contract=contract, gate=GateConfig(min_class_cells=2)),
        store=stage.artifacts,
        run=RunContext.now("test", "test"),
    )
    check = next(check for check in verdict.checks if check.name == "same classes")
    assert not verdict.passed
    assert "champion has EOSINOPHIL, LYMPHOCYTE, MONOCYTE, NEUTROPHIL. " in check.sentence
    assert "NEUTROPHIL for Neutrophil" in check.sentence
    assert not any("against the champion" in check.name for check in verdict.checks)
