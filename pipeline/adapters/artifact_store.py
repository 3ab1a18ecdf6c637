"""Artefacts in an object store: published whole, loaded verified."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from pipeline.adapters.storage import ObjectStore
from pipeline.artifacts import MANIFEST, Artifact, Manifest, digest_of
from pipeline.digests import sha256_bytes, sha256_file
from pipeline.errors import (
    ArtifactError,
    ChangedArtifactError,
    ConflictError,
    MissingArtifactError,
)
from pipeline.records import Record, from_csv

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Manifest)
RECORDS = "records.csv"
_TRANSFERS = 8


class ArtifactStore:
    """Immutable directories under one root: `<root>/<kind>/<name>/<digest>/`."""

    def __init__(self, objects: ObjectStore, root: str) -> None:
        self.objects = objects
        self.root = root.rstrip("/")

    def publish(self, folder: Path, manifest: M) -> Artifact[M]:
        """Upload a folder's files, then its manifest.

        A second publication changes nothing, unless what stands there was damaged: then it mends.
        """
        paths = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)
        files = {str(path.relative_to(folder)): sha256_file(path) for path in paths}
        whole = manifest.model_copy(update={"files": files})
        artifact = Artifact(self.address(whole), whole)
        stands = self.objects.stat(f"{artifact.uri}/{MANIFEST}") is not None
        if stands and (standing := self.intact(artifact.uri, type(manifest))) is not None:
            return standing
        with ThreadPoolExecutor(_TRANSFERS) as pool:
            list(pool.map(lambda n: self.objects.upload(folder / n, f"{artifact.uri}/{n}"), files))
        return self._close(artifact, damaged=stands)

    def _close(self, artifact: Artifact[M], *, damaged: bool) -> Artifact[M]:
        body = artifact.manifest.model_dump_json(indent=2).encode()
        try:
            self.objects.write(f"{artifact.uri}/{MANIFEST}", body, if_absent=not damaged)
        except ConflictError:
            return self.open(artifact.uri, type(artifact.manifest))
        return artifact

    def intact(self, uri: str, kind: type[M]) -> Artifact[M] | None:
        """An artefact whose every file was read and is whole, else None and a line in the log."""
        try:
            artifact = self.open(uri, kind)
            for name in artifact.manifest.files:
                self.read(artifact, name)
        except ArtifactError as error:
            log.warning("damaged: %s", error)
            return None
        return artifact

    def address(self, manifest: Manifest) -> str:
        """Where an artefact with this manifest stands."""
        return f"{self.root}/{manifest.kind}/{manifest.name}/{manifest.digest()[:24]}"

    def open(self, uri: str, kind: type[M]) -> Artifact[M]:
        """Read a manifest.

        Raises:
            ArtifactError: when there is none, it is of another kind, or it does not fit its URI.
        """
        found = self.objects.read_tagged(f"{uri}/{MANIFEST}")
        if found is None:
            raise MissingArtifactError(
                "no manifest: the artefact does not exist", expected=kind.__name__, received=uri
            )
        try:
            manifest = kind.model_validate_json(found[0])
        except ValidationError as error:
            raise ArtifactError(
                f"{uri}/{MANIFEST} does not fit: {error}", expected=kind.__name__
            ) from error
        if not uri.endswith(received := digest_of(json.loads(found[0]))[:24]):
            raise ChangedArtifactError("the manifest was changed", expected=uri, received=received)
        return Artifact(uri, manifest)

    def require_closed(self, artifact: Artifact[M]) -> None:
        """Refuse an artefact with files that its manifest does not name.

        Raises:
            ChangedArtifactError: when there are some, though nobody would read them.
        """
        listed = {f"{artifact.uri}/{name}" for name in (*artifact.manifest.files, MANIFEST)}
        present = {item.uri for item in self.objects.list(f"{artifact.uri}/")}
        if unlisted := sorted(present - listed):
            raise ChangedArtifactError(
                f"{artifact.uri} holds what its manifest does not name",
                received=", ".join(unlisted),
            )

    def read(self, artifact: Artifact[M], name: str) -> bytes:
        """One file of an artefact, verified against its manifest."""
        expected = artifact.manifest.files.get(name)
        if expected is None:
            raise ArtifactError(
                f"{artifact.uri} has no file {name}", expected=", ".join(artifact.manifest.files)
            )
        data = self.objects.read(f"{artifact.uri}/{name}")
        _verify(artifact.uri, name, expected, sha256_bytes(data))
        return data

    def records(self, artifact: Artifact[M]) -> list[Record]:
        """The images an artefact lists in its `records.csv`."""
        return from_csv(self.read(artifact, RECORDS).decode(), Record)

    def fetch(self, artifact: Artifact[M], folder: Path, names: list[str] | None = None) -> Path:
        """Bring files (all of them by default) into `folder`, each verified, and the manifest."""
        wanted = list(artifact.manifest.files) if names is None else names

        def bring(name: str) -> None:
            target = folder / name
            self.objects.download(f"{artifact.uri}/{name}", target)
            _verify(artifact.uri, name, artifact.manifest.files[name], sha256_file(target))

        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_TRANSFERS) as pool:
            list(pool.map(bring, wanted))
        (folder / MANIFEST).write_text(artifact.manifest.model_dump_json(indent=2))
        return folder


def _verify(uri: str, name: str, expected: str, received: str) -> None:
    if expected != received:
        raise ChangedArtifactError(
            f"{uri}/{name} does not match its manifest", expected=expected, received=received
        )
