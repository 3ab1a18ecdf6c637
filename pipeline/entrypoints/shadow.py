"""Which challenger scores the requests beside the served model, without being heard."""

from datetime import UTC, datetime

from pipeline.adapters.registry import Pointer, Registry
from pipeline.artifacts import ServedManifest, VerdictManifest
from pipeline.entrypoints.job import open_store


def shadow(uri: str, author: str, reason: str) -> Pointer:
    """Let a model score as well, whatever the gate said of it.

    Args:
        uri: of a served bundle, or of a verdict on one.
        author: who wants to know.
        reason: why.

    Raises:
        ArtifactError: when there is no such model.
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
    Registry(store.objects, store.root, manifest.name).set_shadow(pointer)
    return pointer


def shadow_off(name: str) -> None:
    """Let no challenger of a name score any more."""
    store = open_store()
    Registry(store.objects, store.root, name).set_shadow(None)
