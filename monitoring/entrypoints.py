"""Monitoring entry points: one function per task or command, called with URIs; most return one.

`config` is the path of a monitoring configuration. Functions import their steps when called:
parsing a DAG loads none of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from monitoring.config import MonitoringConfig, load_monitoring_config
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import DriftManifest, WindowManifest
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.digests import sha256_bytes
from pipeline.entrypoints.config_lookup import config_path
from pipeline.entrypoints.jobs.job import open_store
from pipeline.errors import InvalidInputError
from pipeline.records import utc
from pipeline.run_context import RunContext
from pipeline.version import code_version

if TYPE_CHECKING:
    from monitoring.drift.alarm_rate import AlarmRate


@dataclass(frozen=True)
class _Job:
    """Configuration, artefact store and run of one call."""

    config: MonitoringConfig
    store: ArtifactStore
    run: RunContext


def collect(config: str, run_id: str, name: str, until: str, since: str | None = None) -> str:
    """Publish a window of a model's predictions, move the log watermark, return the window's URI.

    Args:
        config: path of a monitoring configuration.
        run_id: id of the run; stored in the manifest.
        name: model name.
        until: ISO time, exclusive end: the end of the run's data interval, which identifies the
            run. UTC unless it has an offset.
        since: ISO time, inclusive start, which leaves the watermark unchanged; empty: the end of
            the last tested window before `until`.

    Raises:
        InvalidInputError: if a time is invalid, `since` is not before `until`, or `until` is in
            the future.
    """
    from monitoring.windows.collect import WindowRequest
    from monitoring.windows.collect import collect as step

    request = WindowRequest(name=name, since=_time(since) if since else None, until=_time(until))
    job = _job(config, run_id)
    return step(request, job.config, store=job.store, run=job.run).uri


def gather(config: str, run_id: str, name: str) -> str:
    """Count returned labels, and archive them once there are enough; returns the report's URI."""
    from pipeline.entrypoints.labels import gather as returned

    return returned(name, run_id, _job(config, run_id).config.gather)[1]


def detect(config: str, run_id: str, window_uri: str) -> str:
    """Test a window for drift against its model's reference; returns the published result's URI."""
    from monitoring.drift.detect import detect as step

    job = _job(config, run_id)
    window = job.store.open(window_uri, WindowManifest)
    return step(window, job.config.test, store=job.store, run=job.run).uri


def decide(config: str, run_id: str, name: str, drift_uri: str) -> str:
    """Decide once per window whether to retrain; returns the URI of the window's decision.

    Stored as `<store>/retrain/<name>/decisions/*.json`; an earlier decision on the window stays.
    """
    from monitoring.drift.detect import read_result
    from monitoring.retraining.retrain_requests import RetrainRequestStore

    job = _job(config, run_id)
    drift = job.store.open(drift_uri, DriftManifest)
    window = job.store.open(drift.manifest.inputs["window"], WindowManifest)
    requests = RetrainRequestStore(job.store.objects, job.store.root, name)
    result = read_result(job.store, drift)
    return requests.decide(drift, result, window, job.config.policy, job.run)


def publish(config: str, run_id: str, name: str, drift_uri: str, decision_uri: str) -> str:
    """Publish a drift report on the report site; returns the URI of its folder.

    Raises:
        InvalidInputError: if the report is of another model.
    """
    from monitoring.drift.detect import read_result
    from monitoring.drift.drift_page import publish_drift
    from monitoring.retraining.retrain_requests import read_decision

    store = _job(config, run_id).store
    drift = store.open(drift_uri, DriftManifest)
    if drift.manifest.name != name:
        raise InvalidInputError(
            "the drift report is of another model", expected=name, received=drift.manifest.name
        )
    window = store.open(drift.manifest.inputs["window"], WindowManifest)
    decision = read_decision(store.objects, decision_uri)
    result = read_result(store, drift)
    return publish_drift(drift, result, window, requested=decision.requested, store=store)


def training_run_of(decision_uri: str) -> tuple[str, dict[str, str]] | None:
    """Run id and form of the training run that a decision requests; None if it requests none."""
    from monitoring.retraining.retrain_requests import read_decision

    decision = read_decision(open_store().objects, decision_uri)
    if not decision.requested:
        return None
    form = {
        "config": f"configs/{decision.name}.yaml",
        "reason": decision.reason,
        "request": decision_uri,
    }
    key = sha256_bytes(decision_uri.encode())[:12]
    return f"retrain__{decision.name}__{key}", form


def close_request(run_id: str, decision_uri: str, outcome: str) -> bool:
    """Close the retrain request of a decision, once its training run has ended.

    Args:
        run_id: id of the training run.
        decision_uri: the field `request` of the run's form.
        outcome: result of the training run.

    Returns:
        False if the request is not open: it is closed already, or a later request replaced it.
    """
    from monitoring.retraining.retrain_requests import RetrainRequestStore, read_decision

    store = open_store()
    decision = read_decision(store.objects, decision_uri)
    requests = RetrainRequestStore(store.objects, store.root, decision.name)
    return requests.close(decision.window, f"{outcome} ({run_id})", datetime.now(UTC))


def drift(
    records: Sequence[ReferenceRecord],
    reference: Sequence[ReferenceRecord],
    window: int,
    n_windows: int,
    config: str,
) -> "AlarmRate":
    """Share of random windows, of `window` images from an archive, that raise a drift alarm."""
    from monitoring.drift.alarm_rate import measure_alarm_rate

    loaded = load_monitoring_config(config_path(config))
    return measure_alarm_rate(records, reference, window, n_windows, loaded.test)


def _job(config: str, run_id: str) -> _Job:
    """Load configuration and settings for one call; InvalidInputError if one is invalid."""
    loaded = load_monitoring_config(config_path(config))
    return _Job(loaded, open_store(), RunContext.now(run_id, code_version()))


def _time(text: str) -> datetime:
    """Parse ISO 8601 into UTC, also the default offset; InvalidInputError for other text."""
    try:
        return utc(datetime.fromisoformat(text))
    except ValueError as error:
        raise InvalidInputError("invalid time", expected="ISO 8601", received=text) from error
