"""Lineage: the artefacts that an artefact was made from, read from their manifests."""

from collections import deque
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import MANIFEST, ArchiveRef


class Ancestor(BaseModel):
    """Provenance of an artefact, from the manifest fields that all kinds have."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    uri: str = ""
    kind: str
    code_version: str
    created_at: datetime
    inputs: dict[str, str]
    counts: dict[str, int]
    archives: tuple[ArchiveRef, ...] = ()
    """Archives of a snapshot; empty for other kinds."""


def trace(uri: str, store: ArtifactStore) -> list[Ancestor]:
    """Read the manifests of an artefact and its ancestors, nearest first; skips missing ones."""
    ancestors: dict[str, Ancestor] = {}
    queue = deque([uri])
    while queue:
        current = queue.popleft()
        read = None if current in ancestors else store.objects.read_tagged(f"{current}/{MANIFEST}")
        if read is None:
            continue
        ancestor = Ancestor.model_validate_json(read[0]).model_copy(update={"uri": current})
        ancestors[current] = ancestor
        queue.extend(uri for _, uri in sorted(ancestor.inputs.items()))
    return list(ancestors.values())
