"""Lineage: everything an artefact was made from, as its manifests tell."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import MANIFEST, ArchiveRef


class Ancestor(BaseModel):
    """What the manifest of any kind of artefact says of where it came from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    uri: str = ""
    kind: str
    code_version: str
    created_at: datetime
    inputs: dict[str, str]
    counts: dict[str, int]
    archives: tuple[ArchiveRef, ...] = ()
    """Of a snapshot."""


def trace(uri: str, store: ArtifactStore) -> list[Ancestor]:
    """An artefact and its ancestors, each once, nearest first; what has no manifest is left out."""
    found: dict[str, Ancestor] = {}
    waiting = [uri]
    while waiting:
        here = waiting.pop(0)
        body = store.objects.read_tagged(f"{here}/{MANIFEST}") if here not in found else None
        if body is None:
            continue
        ancestor = Ancestor.model_validate_json(body[0]).model_copy(update={"uri": here})
        found[here] = ancestor
        waiting += [where for _, where in sorted(ancestor.inputs.items())]
    return list(found.values())
