"""Gate: may this challenger be served? A refusal is a result, not a fault."""

import logging
import tempfile
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.adapters.registry import Pointer
from pipeline.artifacts import (
    Artifact,
    BundleManifest,
    EvaluationManifest,
    ServedManifest,
    SplitManifest,
    VerdictManifest,
)
from pipeline.config import RunConfig
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.digests import canonical_json
from pipeline.errors import InvalidInputError
from pipeline.records import Record, from_csv
from pipeline.run import RunContext
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.predictions import predict_images, request_id
from pipeline.steps.promotion import checks
from pipeline.steps.promotion.eligible_cells import select_eligible_cells
from pipeline.steps.promotion.serve_check import serve_check
from pipeline.steps.promotion.verdict import Check, GateVerdict
from pipeline.steps.promotion.verdict_page import page, plain

log = logging.getLogger(__name__)

Answered = dict[str, str]
"""`request_id` of an image to the class a model gave it."""


def gate(
    evaluation: Artifact[EvaluationManifest],
    served: Artifact[ServedManifest],
    champion: Pointer | None,
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> tuple[Artifact[VerdictManifest], GateVerdict]:
    """Judge a challenger against floors and against what is served now.

    Args:
        evaluation: the challenger's answers on the locked part.
        served: the challenger.
        champion: what is served now; None makes the challenger answer to the first model's rule.
        config: floors and margins.

    Raises:
        InvalidInputError: when the evaluation is another model's.
    """
    log.info("gate: %s against %s", served.manifest.tag, champion.tag if champion else "nobody")
    if evaluation.manifest.inputs["served"] != served.uri:
        raise InvalidInputError(
            "the evaluation is another model's",
            expected=served.uri,
            received=evaluation.manifest.inputs["served"],
        )
    verdict = _judged(evaluation, served, champion, config, store=store, run=run)
    artifact = _publish(verdict, evaluation, served, store=store, run=run)
    for line in plain(verdict):
        log.info("%s", line)
    log.info("gate %s: %s", "passed" if verdict.passed else "refused", artifact.uri)
    return artifact, verdict


def _judged(
    evaluation: Artifact[EvaluationManifest],
    served: Artifact[ServedManifest],
    champion: Pointer | None,
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> GateVerdict:
    report = EvaluationReport.model_validate_json(store.read(evaluation, "report.json"))
    rival = store.open(champion.served, ServedManifest) if champion else None
    split = store.open(evaluation.manifest.inputs["split"], SplitManifest)
    test = [record for record in store.records(split) if record.part == "test"]
    recorded = _last_words(champion, rival, store)
    evidence, fair = select_eligible_cells(
        test,
        _trained_on(served, store),
        _trained_on(rival, store) if rival else (),
        served.manifest.contract.classes,
        {r.sha256 for r in test if recorded is not None and request_id(r) not in recorded},
    )
    found = checks.evidence_checks(evidence, config.gate)
    if rival is None:
        found.append(checks.first_model_check(report.scores, config.gate))
    elif rival.manifest.tag != served.manifest.tag and all(check.passed for check in found):
        theirs = _answered_anew(rival, fair, store=store, run=run) if recorded is None else recorded
        found += _champion_checks(fair, _recorded(evaluation, store), theirs, config)
    found += checks.floor_checks(report.scores, config.gate)
    found.append(checks.calibration_check(report.scores.by_cell.calibration_error, config.gate))
    found += checks.parity_checks(served.manifest.parity, config.gate)
    found += _serving_checks(served, config, store)
    return GateVerdict(
        name=config.name,
        tag=served.manifest.tag,
        champion=champion,
        passed=all(check.passed for check in found),
        evidence=evidence,
        checks=tuple(found),
    )


def _champion_checks(
    fair: list[Record], ours: Answered, theirs: Answered, config: RunConfig
) -> list[Check]:
    names = [request_id(record) for record in fair]
    return checks.champion_checks(
        [record.label for record in fair],
        [record.group for record in fair],
        [record.cell for record in fair],
        [ours[name] for name in names],
        [theirs[name] for name in names],
        config.gate,
    )


def _serving_checks(
    served: Artifact[ServedManifest], config: RunConfig, store: ArtifactStore
) -> list[Check]:
    with tempfile.TemporaryDirectory() as folder:
        serving = serve_check(store.fetch(served, Path(folder)))
    return checks.serving_checks(serving, config.gate)


def _last_words(
    champion: Pointer | None, rival: Artifact[ServedManifest] | None, store: ArtifactStore
) -> Answered | None:
    """What a champion answered at its own evaluation, when this code no longer cuts its pixels.

    The locked part only grows, so most of what it was judged on then is judged on now. None: it
    can be asked anew, or there is none.
    """
    if champion is None or rival is None or rival.manifest.contract.is_current:
        return None
    log.info("gate: %s has another preprocessing, its recorded answers count", champion.tag)
    return _recorded(store.open(champion.evaluation, EvaluationManifest), store)


def _answered_anew(
    rival: Artifact[ServedManifest],
    fair: list[Record],
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Answered:
    with tempfile.TemporaryDirectory() as folder:
        files = store.fetch(rival, Path(folder))
        given = predict_images(read_images(store, fair), rival, files, run.created_at)
    return {logged.request_id: logged.label for logged in given.logged}


def _recorded(evaluation: Artifact[EvaluationManifest], store: ArtifactStore) -> Answered:
    """What a model answered when it was evaluated."""
    lines = store.read(evaluation, "reference.jsonl").decode().splitlines()
    said = map(ReferenceRecord.model_validate_json, lines)
    return {line.record.request_id: line.record.label for line in said}


def _trained_on(served: Artifact[ServedManifest], store: ArtifactStore) -> list[Record]:
    bundle = store.open(served.manifest.inputs["bundle"], BundleManifest)
    return from_csv(store.read(bundle, "training.csv").decode(), Record)


def _publish(
    verdict: GateVerdict,
    evaluation: Artifact[EvaluationManifest],
    served: Artifact[ServedManifest],
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[VerdictManifest]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "verdict.json").write_text(canonical_json(verdict.model_dump(mode="json")))
        (folder / "verdict.html").write_text(page(verdict))
        manifest = VerdictManifest(
            name=verdict.name,
            tag=verdict.tag,
            passed=verdict.passed,
            inputs={"evaluation": evaluation.uri, "served": served.uri},
            counts={"checks": len(verdict.checks), "failed": len(verdict.failed)},
            **run.model_dump(),
        )
        return store.publish(folder, manifest)
