"""Served models: read pointer and history, set the shadow, update BentoML and MLflow."""

import logging
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer, PromotionRefusal
from pipeline.artifacts import ServedManifest, VerdictManifest
from pipeline.entrypoints.config_lookup import resolve_model_name
from pipeline.entrypoints.jobs.job import open_store, pointers_of
from pipeline.errors import InvalidInputError, PipelineError
from pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from pipeline.steps.promotion.history import ServingPeriod


log = logging.getLogger(__name__)


def history(name: str) -> "list[ServingPeriod]":
    """Which model served when, by whose decision and why; oldest first."""
    from pipeline.steps.promotion.history import serving_periods

    return serving_periods(pointers_of(name, open_store()).history(), datetime.now(UTC))


def refusals(name: str) -> list[PromotionRefusal]:
    """Refused promotions of a model name; oldest first."""
    return pointers_of(name, open_store()).refusals()


def served_now(name: str) -> Pointer | None:
    """Pointer to the served model of a name; None before the first promotion."""
    return pointers_of(name, open_store()).read()


def find_model(name: str, model: str) -> Pointer:
    """Latest pointer to a model in the ledger: the champion, or the model with a tag.

    Args:
        name: model name; empty takes the tag's, else MODEL_NAME.
        model: `champion` or a tag `<name>:<version>`.

    Raises:
        InvalidInputError: when the model never served, or the name is not the tag's.
    """
    pointers = pointers_of(resolve_model_name(name, model), open_store())
    current = pointers.read()
    if model == "champion" and current is not None:
        return current
    history = pointers.history()
    matches = [entry for entry in history if entry.tag == model]
    if not matches:
        raise InvalidInputError(
            f"{pointers.name} has no such model",
            expected=", ".join(sorted({entry.tag for entry in history})) or "a promoted model",
            received=model,
        )
    return matches[-1]


def set_shadow(uri: str, author: str, reason: str, name: str = "") -> Pointer:
    """Store a model as shadow challenger, also one that the gate refused; returns the pointer.

    Args:
        uri: URI of a served bundle or of a verdict on one.
        author: recorded with the challenger.
        reason: recorded with the challenger.
        name: model name; empty takes the bundle's.

    Raises:
        ArtifactError: when there is no such model.
        InvalidInputError: when the model has another name.
    """
    store, verdict = open_store(), ""
    if "/verdict/" in uri:
        verdict, uri = uri, store.open(uri, VerdictManifest).manifest.inputs["served"]
    manifest = store.open(uri, ServedManifest).manifest
    pointer = Pointer(
        sequence=0,
        name=manifest.name,
        tag=manifest.tag,
        served=uri,
        evaluation="",
        verdict=verdict,
        author=author,
        reason=reason,
        time=datetime.now(UTC),
    )
    pointers_of(name or manifest.name, store).set_shadow(pointer)
    return pointer


def clear_shadow(name: str) -> None:
    """Remove the shadow challenger of a model name."""
    pointers_of(name, open_store()).set_shadow(None)


def repair(name: str) -> Pointer | None:
    """Update ledger, BentoML store and MLflow from the pointer, in that order; returns the pointer.

    MLflow runs that a killed process left RUNNING are ended as FAILED after a day. Idempotent, and
    safe at any time: promotion and rollback end with it, and the next call completes an interrupted
    one.

    Raises:
        UnreachableError: when MLflow is unreachable; ledger and BentoML store are updated by then.
    """
    from pipeline.adapters.tracking.runs import Tracking

    settings = load_settings()
    store = open_store(settings)
    pointers = pointers_of(name, store)
    while (pointer := pointers.read_and_record()) is not None:
        _mirror(pointer, settings, store)
        # Of two concurrent calls, the last to write reads again and sees the newer move.
        if pointers.read() == pointer:
            break
    for abandoned in Tracking(settings.mlflow_tracking_uri, name).end_abandoned():
        log.info("ended abandoned MLflow run %s as FAILED", abandoned)
    return pointer


def repair_if_possible(name: str) -> None:
    """Call `repair` after a change of the pointer; an error is only a warning in the log.

    The pointer alone decides what is served, so the move stands. A mirror may be unreachable
    (PipelineError), or this machine's disk full or not writable (OSError).
    """
    try:
        repair(name)
    except (PipelineError, OSError) as error:
        log.warning(
            "the pointer of %s moved, but its mirrors are outdated; fix this and run "
            "`leukoflow repair --name %s`: %s",
            name,
            name,
            error,
        )


def _mirror(pointer: Pointer, settings: Settings, store: ArtifactStore) -> None:
    """Copy the served bundle into BentoML's store and MLflow; set their `latest` and `champion`."""
    from pipeline.adapters.bento import mirror
    from pipeline.adapters.tracking.models import MlflowModels

    served = store.open(pointer.served, ServedManifest)
    with tempfile.TemporaryDirectory() as folder:
        files = store.fetch(served, Path(folder) / "served")
        mirror(settings, files, pointer.tag, {"sequence": str(pointer.sequence)})
        models = MlflowModels(settings.mlflow_tracking_uri, pointer.name)
        models.set_champion(served.manifest.tracking_run, pointer.tag, files)
    log.info("mirrored %s (move %d)", pointer.tag, pointer.sequence)
