"""Artefact store: immutable directories in S3, published atomically, verified when read."""

import json
import logging
import tempfile
from collections.abc import Mapping
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
    """Publishes and reads artefacts under one root, at `<root>/<kind>/<name>/<digest>/`."""

    def __init__(self, objects: ObjectStore, root: str) -> None:
        self.objects = objects
        self.root = root.rstrip("/")

    def publish(self, folder: Path, manifest: M) -> Artifact[M]:
        """Upload a folder as an artefact, manifest last; returns an existing intact one instead.

        A damaged existing artefact is replaced.
        """
        paths = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)
        files = {str(path.relative_to(folder)): sha256_file(path) for path in paths}
        complete = manifest.model_copy(update={"files": files})
        artifact = Artifact(self.address(complete), complete)
        exists = self.objects.stat(f"{artifact.uri}/{MANIFEST}") is not None
        if exists and (existing := self.intact(artifact.uri, type(manifest))) is not None:
            return existing
        with ThreadPoolExecutor(_TRANSFERS) as pool:
            list(pool.map(lambda n: self.objects.upload(folder / n, f"{artifact.uri}/{n}"), files))
        return self._write_manifest(artifact, damaged=exists)

    def publish_texts(self, files: Mapping[str, str], manifest: M) -> Artifact[M]:
        """Publish text files (name to text) as an artefact; see `publish`."""
        with tempfile.TemporaryDirectory(prefix="leukoflow-") as folder:
            for name, text in files.items():
                (Path(folder) / name).write_text(text)
            return self.publish(Path(folder), manifest)

    def _write_manifest(self, artifact: Artifact[M], *, damaged: bool) -> Artifact[M]:
        """Write the manifest, which completes the artefact; returns that of an earlier writer."""
        body = artifact.manifest.model_dump_json(indent=2).encode()
        try:
            self.objects.write(f"{artifact.uri}/{MANIFEST}", body, if_absent=not damaged)
        except ConflictError:
            return self.open(artifact.uri, type(artifact.manifest))
        return artifact

    def intact(self, uri: str, kind: type[M]) -> Artifact[M] | None:
        """The artefact after verifying its files; None, and a warning, if one is damaged."""
        try:
            artifact = self.open(uri, kind)
            for name in artifact.manifest.files:
                self.read(artifact, name)
        except ArtifactError as error:
            log.warning("damaged: %s", error)
            return None
        return artifact

    def address(self, manifest: Manifest) -> str:
        """URI of the artefact with this manifest."""
        return f"{self.root}/{manifest.kind}/{manifest.name}/{manifest.digest()[:24]}"

    def open(self, uri: str, kind: type[M]) -> Artifact[M]:
        """Read and verify the manifest at a URI; downloads none of the files.

        Raises:
            ArtifactError: when it is missing, of another kind, or its digest differs from the URI.
        """
        stored = self.objects.read_tagged(f"{uri}/{MANIFEST}")
        if stored is None:
            raise MissingArtifactError(
                "no manifest: the artefact does not exist", expected=kind.__name__, received=uri
            )
        try:
            manifest = kind.model_validate_json(stored[0])
        except ValidationError as error:
            raise ArtifactError(
                f"{uri}/{MANIFEST} is invalid: {error}", expected=kind.__name__
            ) from error
        if not uri.endswith(received := digest_of(json.loads(stored[0]))[:24]):
            raise ChangedArtifactError("the manifest was changed", expected=uri, received=received)
        return Artifact(uri, manifest)

    def require_no_extra_files(self, artifact: Artifact[M]) -> None:
        """Raise ChangedArtifactError if the folder has a file that the manifest does not list."""
        listed = {f"{artifact.uri}/{name}" for name in (*artifact.manifest.files, MANIFEST)}
        present = {item.uri for item in self.objects.list(f"{artifact.uri}/")}
        if unlisted := sorted(present - listed):
            raise ChangedArtifactError(
                f"{artifact.uri} contains files that its manifest does not list",
                received=", ".join(unlisted),
            )

    def read(self, artifact: Artifact[M], name: str) -> bytes:
        """Download one file of an artefact; ArtifactError unless it matches the manifest."""
        expected = artifact.manifest.files.get(name)
        if expected is None:
            raise ArtifactError(
                f"{artifact.uri} has no file {name}", expected=", ".join(artifact.manifest.files)
            )
        data = self.objects.read(f"{artifact.uri}/{name}")
        _verify(artifact.uri, name, expected, sha256_bytes(data))
        return data

    def records(self, artifact: Artifact[M]) -> list[Record]:
        """Download an artefact's table of images, `records.csv`."""
        return from_csv(self.read(artifact, RECORDS).decode(), Record)

    def fetch(self, artifact: Artifact[M], folder: Path, names: list[str] | None = None) -> Path:
        """Download and verify files (default: all) into `folder`, with the manifest."""
        selected = list(artifact.manifest.files) if names is None else names

        def download(name: str) -> None:
            target = folder / name
            self.objects.download(f"{artifact.uri}/{name}", target)
            _verify(artifact.uri, name, artifact.manifest.files[name], sha256_file(target))

        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_TRANSFERS) as pool:
            list(pool.map(download, selected))
        (folder / MANIFEST).write_text(artifact.manifest.model_dump_json(indent=2))
        return folder


def _verify(uri: str, name: str, expected: str, received: str) -> None:
    """Raise ChangedArtifactError if the digests differ."""
    if expected != received:
        raise ChangedArtifactError(
            f"{uri}/{name} does not match its manifest", expected=expected, received=received
        )
