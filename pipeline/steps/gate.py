"""Gate: may this challenger be served? A refusal is a result, not a fault."""

import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer
from pipeline.artifacts import (
    Artifact,
    BundleManifest,
    EvaluationManifest,
    Record,
    ServedManifest,
    SplitManifest,
    VerdictManifest,
    canonical_json,
    from_csv,
)
from pipeline.config import RunConfig
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.run import RunContext
from pipeline.steps.evaluate import EvaluationReport
from pipeline.steps.images import read_images
from pipeline.steps.scoring import answer
from pipeline.steps.verdict import (
    Check,
    ServeCheck,
    Verdict,
    cannot_compare,
    compare,
    floor_checks,
    page,
    parity_check,
    serving_checks,
)

log = logging.getLogger(__name__)
SERVE_CHECK_SECONDS = 180


def gate(
    evaluation: Artifact[EvaluationManifest],
    served: Artifact[ServedManifest],
    champion: Pointer | None,
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> tuple[Artifact[VerdictManifest], Verdict]:
    """Judge a challenger against floors and against what is served now."""
    report = EvaluationReport.model_validate_json(store.read(evaluation, "report.json"))
    checks = floor_checks(report, config.gate)
    checks.append(parity_check(report, config.gate))
    with tempfile.TemporaryDirectory() as folder:
        serving = serve_check(store.fetch(served, Path(folder)))
    checks += serving_checks(serving, config.gate)
    if champion is not None and champion.tag != served.manifest.tag:
        checks.append(_champion_check(evaluation, served, champion, config, store=store, run=run))
    verdict = Verdict(
        name=config.name,
        tag=served.manifest.tag,
        champion=champion,
        passed=all(check.passed for check in checks),
        checks=tuple(checks),
    )
    artifact = _publish(verdict, evaluation, served, store=store, run=run)
    log.info("gate %s: %s", "passed" if verdict.passed else "refused", artifact.uri)
    return artifact, verdict


def serve_check(folder: Path) -> ServeCheck:
    """Load a served bundle in the real service code, in a fresh process."""
    command = [sys.executable, "-m", "bento_service.classifier", "check", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SERVE_CHECK_SECONDS, check=False
        )
        said = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return ServeCheck(ok=False, error=f"no answer within {SERVE_CHECK_SECONDS} s")
    except (json.JSONDecodeError, IndexError):
        return ServeCheck(ok=False, error=done.stderr.strip()[-400:])
    if not said.get("ok"):
        return ServeCheck(ok=False, error=json.dumps(said.get("error", said)))
    return ServeCheck(ok=True, latency_ms=float(said["latency_ms"]))


def _champion_check(
    evaluation: Artifact[EvaluationManifest],
    served: Artifact[ServedManifest],
    champion: Pointer,
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Check:
    """Challenger and champion on the same held-out cells, none of which either was trained on."""
    other = store.open(champion.served, ServedManifest)
    split = store.open(evaluation.manifest.inputs["split"], SplitManifest)
    records = {r.sha256: r for r in store.records(split) if r.part == "test"}
    seen = _trained_on(served, store) | _trained_on(other, store)
    spoilt = {record.group for record in records.values() if record.sha256 in seen}
    fair = [record for record in records.values() if record.group not in spoilt]
    if not fair:
        return cannot_compare(config.gate)
    lines = store.read(evaluation, "reference.jsonl").decode().splitlines()
    ours = {
        line.record.request_id: line for line in map(ReferenceRecord.model_validate_json, lines)
    }
    with tempfile.TemporaryDirectory() as folder:
        theirs = answer(
            read_images(store, fair), other, store.fetch(other, Path(folder)), run.created_at
        )
    return compare(
        [record.label for record in theirs.records],
        [record.group for record in theirs.records],
        [ours[record.sha256[:16]].record.label for record in theirs.records],
        [said.label for said in theirs.predictions],
        config.gate,
    )


def _trained_on(served: Artifact[ServedManifest], store: ArtifactStore) -> set[str]:
    bundle = store.open(served.manifest.inputs["bundle"], BundleManifest)
    return {r.sha256 for r in from_csv(store.read(bundle, "training.csv").decode(), Record)}


def _publish(
    verdict: Verdict,
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
            **run.model_dump(),
        )
        return store.publish(folder, manifest)
