"""Registry entry points: what serves, what served, the shadow model, and the mirrors."""

import logging
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, PromotionRefusal
from pipeline.artifacts import ServedManifest, VerdictManifest
from pipeline.entrypoints.configs import named_model
from pipeline.entrypoints.jobs.job import open_store, registry_of
from pipeline.errors import InvalidInputError, PipelineError
from pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from pipeline.steps.promotion.history import ServingPeriod


log = logging.getLogger(__name__)


def history(name: str) -> "list[ServingPeriod]":
    """What served when, who moved the pointer and why; oldest first."""
    from pipeline.steps.promotion.history import serving_periods

    return serving_periods(registry_of(name, open_store()).history(), datetime.now(UTC))


def refusals(name: str) -> list[PromotionRefusal]:
    """Which judged models were kept from serving, by whom and why; oldest first."""
    return registry_of(name, open_store()).refusals()


def served_now(name: str) -> Pointer | None:
    """What is served under a name."""
    return registry_of(name, open_store()).read()


def find_model(name: str, model: str) -> Pointer:
    """The pointer entry of `champion` or of a tag.

    Args:
        name: of the model; empty takes the tag's, else MODEL_NAME.
        model: `champion`, or `<name>:<version>`, which names the model.

    Raises:
        InvalidInputError: when the history knows no such model, or the name is not the tag's.
    """
    registry = registry_of(named_model(name, model), open_store())
    current = registry.read()
    if model == "champion" and current is not None:
        return current
    history = registry.history()
    wanted = [entry for entry in history if entry.tag == model]
    if not wanted:
        raise InvalidInputError(
            f"{registry.name} has no such model",
            expected=", ".join(sorted({entry.tag for entry in history})) or "a promoted model",
            received=model,
        )
    return wanted[-1]


def shadow(uri: str, author: str, reason: str, name: str = "") -> Pointer:
    """Let a model score as well, whatever the gate said of it.

    Args:
        uri: of a served bundle, or of a verdict on one; it names the model.
        author: who wants to know.
        reason: why.
        name: of the model, if the caller gave one.

    Raises:
        ArtifactError: when there is no such model.
        InvalidInputError: when the model is of another name.
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
    registry_of(name or manifest.name, store).set_shadow(pointer)
    return pointer


def shadow_off(name: str) -> None:
    """Let no challenger of a name score any more."""
    store = open_store()
    registry_of(name, store).set_shadow(None)


def repair(name: str) -> Pointer | None:
    """Bring ledger, BentoML store and MLflow to what the pointer says; returns the pointer.

    MLflow runs that a killed process left RUNNING are ended as FAILED once no run can last so long.
    Safe at any time and as often as wanted: promotion and rollback end with it, and whatever
    interrupted them is put right by the next call.

    Raises:
        UnreachableError: when MLflow is not reachable; the others are in line by then.
    """
    from pipeline.adapters.mlflow_runs import Tracking

    settings = load_settings()
    store = open_store(settings)
    registry = registry_of(name, store)
    while (pointer := registry.settle()) is not None:
        _mirror(pointer, settings, store)
        # Of two who mirror at once, the last to write looks once more and sees the newer move.
        if registry.read() == pointer:
            break
    for abandoned in Tracking(settings.mlflow_tracking_uri, name).end_abandoned():
        log.info("MLflow run %s was abandoned: FAILED", abandoned)
    return pointer


def repair_if_possible(name: str) -> None:
    """Repair after a move that stands whatever becomes of the mirrors.

    A mirror that lags does not undo a move: the pointer alone says what is served. A store may be
    unreachable (PipelineError), or this machine's disk full or not writable (OSError).
    """
    try:
        repair(name)
    except (PipelineError, OSError) as error:
        log.warning(
            "the pointer of %s moved, but its mirrors lag behind; run `leukoflow repair --name %s` "
            "once this is mended: %s",
            name,
            name,
            error,
        )


def _mirror(pointer: Pointer, settings: Settings, store: ArtifactStore) -> None:
    from pipeline.adapters.bento import mirror
    from pipeline.adapters.mlflow_models import MlflowModels

    served = store.open(pointer.served, ServedManifest)
    with tempfile.TemporaryDirectory() as folder:
        files = store.fetch(served, Path(folder) / "served")
        mirror(settings, files, pointer.tag, {"sequence": str(pointer.sequence)})
        models = MlflowModels(settings.mlflow_tracking_uri, pointer.name)
        models.champion(served.manifest.tracking_run, pointer.tag, files)
    log.info("mirrored %s (move %d)", pointer.tag, pointer.sequence)
