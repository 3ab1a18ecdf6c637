"""Which challenger scores the requests beside the served model, without being heard."""

from datetime import UTC, datetime

from pipeline.adapters.registry import Pointer
from pipeline.artifacts import ServedManifest, VerdictManifest
from pipeline.entrypoints.job import open_store, registry_of


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
