"""The BentoML store and MLflow's alias, which follow the pointer and decide nothing."""

import logging
import tempfile
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer
from pipeline.artifacts import ServedManifest
from pipeline.entrypoints.job import open_store, registry_of
from pipeline.errors import PipelineError
from pipeline.settings import Settings, load_settings

log = logging.getLogger(__name__)


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
