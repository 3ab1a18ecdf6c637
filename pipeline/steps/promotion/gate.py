"""Gate: decide whether a challenger may serve. A refusal is a result, not an error."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer
from pipeline.artifacts import (
    Artifact,
    EvaluationManifest,
    ServedManifest,
    SplitManifest,
    VerdictManifest,
)
from pipeline.config.run_config import RunConfig
from pipeline.digests import canonical_json
from pipeline.errors import InvalidInputError
from pipeline.run_context import RunContext
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.predictions import request_id
from pipeline.steps.promotion import checks
from pipeline.steps.promotion.eligible_cells import EligibleCells, select_eligible_cells
from pipeline.steps.promotion.predicted_labels import (
    Labels,
    predicted_labels,
    recorded_labels,
    training_records,
)
from pipeline.steps.promotion.serve_check import ServeCheck, serve_check
from pipeline.steps.promotion.verdict import Check, GateVerdict
from pipeline.steps.promotion.verdict_page import log_lines, page

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GateInputs:
    """The challenger with its evaluation, and the model that serves now."""

    served: Artifact[ServedManifest]
    """The challenger."""
    evaluation: Artifact[EvaluationManifest]
    champion: Pointer | None
    """None when no model serves; then the rule for a first model applies."""


def gate(
    inputs: GateInputs, config: RunConfig, *, store: ArtifactStore, run: RunContext
) -> tuple[Artifact[VerdictManifest], GateVerdict]:
    """Compare a challenger with limits and champion; publish the verdict, passed or refused.

    Raises:
        InvalidInputError: when the evaluation belongs to another model.
    """
    served, champion = inputs.served, inputs.champion
    opponent = champion.tag if champion else "no champion"
    log.info("gate: %s against %s", served.manifest.tag, opponent)
    if inputs.evaluation.manifest.inputs["served"] != served.uri:
        raise InvalidInputError(
            "the evaluation belongs to another model",
            expected=served.uri,
            received=inputs.evaluation.manifest.inputs["served"],
        )
    verdict = _verdict(inputs, config, store=store, run=run)
    artifact = _publish(verdict, inputs, store=store, run=run)
    for line in log_lines(verdict):
        log.info("%s", line)
    log.info("gate %s: %s", "passed" if verdict.passed else "refused", artifact.uri)
    return artifact, verdict


def _verdict(
    inputs: GateInputs, config: RunConfig, *, store: ArtifactStore, run: RunContext
) -> GateVerdict:
    """Run every check; loads the bundle in a process with the service's code."""
    served = inputs.served.manifest
    report = EvaluationReport.model_validate_json(store.read(inputs.evaluation, "report.json"))
    cells, results = _comparison(inputs, report, config, store=store, run=run)
    results += checks.floor_checks(report.scores, config.gate)
    results.append(checks.calibration_check(report.scores.by_cell.calibration_error, config.gate))
    results += checks.parity_checks(served.parity, config.gate)
    results += checks.serving_checks(_serve_check(inputs.served, store), config.gate)
    return GateVerdict(
        name=config.name,
        tag=served.tag,
        champion=inputs.champion,
        passed=all(check.passed for check in results),
        evidence=cells,
        checks=tuple(results),
    )


def _comparison(
    inputs: GateInputs,
    report: EvaluationReport,
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> tuple[EligibleCells, list[Check]]:
    """Checks of the test cells, and of the challenger against the champion, if there is one."""
    pointer, challenger = inputs.champion, inputs.served
    champion = store.open(pointer.served, ServedManifest) if pointer else None
    recorded = _labels_of_outdated(pointer, champion, store)
    split = store.open(inputs.evaluation.manifest.inputs["split"], SplitManifest)
    test = [record for record in store.records(split) if record.part == "test"]
    cells, eligible = select_eligible_cells(
        test,
        training_records(challenger, store),
        training_records(champion, store) if champion else (),
        challenger.manifest.contract.classes,
        {r.sha256 for r in test if recorded is not None and request_id(r) not in recorded},
    )
    results = checks.data_checks(cells, config.gate)
    if champion is None:
        return cells, [*results, checks.first_model_check(report.scores, config.gate)]
    results.append(
        checks.classes_check(
            challenger.manifest.contract.classes, champion.manifest.contract.classes
        )
    )
    if champion.manifest.tag == challenger.manifest.tag or not all(c.passed for c in results):
        return cells, results
    if recorded is None:
        recorded = predicted_labels(champion, eligible, store=store, run=run)
    ours = recorded_labels(inputs.evaluation, store)
    ids = [request_id(record) for record in eligible]
    results += checks.champion_checks(
        eligible, [ours[one] for one in ids], [recorded[one] for one in ids], config.gate
    )
    return cells, results


def _labels_of_outdated(
    pointer: Pointer | None, champion: Artifact[ServedManifest] | None, store: ArtifactStore
) -> Labels | None:
    """Stored predictions of a champion with another preprocessing version; None for this version.

    This code cannot run such a champion. The test part only grows, so its own evaluation has
    predictions for most of the test images.
    """
    if pointer is None or champion is None or champion.manifest.contract.is_current:
        return None
    log.info("gate: %s has another preprocessing, its recorded predictions count", pointer.tag)
    return recorded_labels(store.open(pointer.evaluation, EvaluationManifest), store)


def _serve_check(served: Artifact[ServedManifest], store: ArtifactStore) -> ServeCheck:
    """Download a bundle and load it by the service's code."""
    with tempfile.TemporaryDirectory() as folder:
        return serve_check(store.fetch(served, Path(folder)))


def _publish(
    verdict: GateVerdict, inputs: GateInputs, *, store: ArtifactStore, run: RunContext
) -> Artifact[VerdictManifest]:
    """Publish a verdict as `verdict.json` and `verdict.html`."""
    manifest = VerdictManifest(
        name=verdict.name,
        tag=verdict.tag,
        passed=verdict.passed,
        inputs={"evaluation": inputs.evaluation.uri, "served": inputs.served.uri},
        counts={"checks": len(verdict.checks), "failed": len(verdict.failed)},
        **run.model_dump(),
    )
    files = {
        "verdict.json": canonical_json(verdict.model_dump(mode="json")),
        "verdict.html": page(verdict),
    }
    return store.publish_texts(files, manifest)
