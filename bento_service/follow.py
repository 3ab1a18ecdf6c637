"""Following the pointer: the next model is loaded aside and takes over only when it has proven."""

import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bento_service import metrics
from bento_service.classifier import Classifier
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Registry
from pipeline.artifacts import ServedManifest
from pipeline.errors import ArtifactError, UnreachableError

logger = logging.getLogger(__name__)

RETRY_SECONDS = 60.0
"""A refused model is tried again after this time, or as soon as the pointer moves."""


@dataclass(frozen=True)
class Served:
    """A classifier and the pointer entry that asked for it, None for one baked into an image."""

    classifier: Classifier
    pointer: Pointer | None


class Follower:
    """Keeps `current` equal to what the pointer says, as far as that can be served."""

    def __init__(self, registry: Registry, artifacts: ArtifactStore, name: str) -> None:
        self.current: Served | None = None
        self._registry = registry
        self._artifacts = artifacts
        self._name = name
        self._refused = 0
        self._retry_at = 0.0

    def poll(self) -> None:
        """Look at the pointer once; whatever goes wrong, the current model goes on serving."""
        pointer = None
        try:
            pointer = self._registry.read()
            if pointer is not None and self._is_news(pointer):
                self._follow(pointer)
        except UnreachableError as error:
            logger.warning("the store does not answer, the model stays: %s", error)
        except Exception:
            # Anything that a bundle can do to its loader is a reason not to serve it.
            logger.exception("the promoted model is refused, the old one stays")
            metrics.RELOAD_FAILURES.inc()
            self._refused = pointer.sequence if pointer else 0
            self._retry_at = time.monotonic() + RETRY_SECONDS

    def _is_news(self, pointer: Pointer) -> bool:
        served = self.current.pointer if self.current else None
        if served is not None and served.sequence == pointer.sequence:
            return False
        return pointer.sequence != self._refused or time.monotonic() >= self._retry_at

    def _follow(self, pointer: Pointer) -> None:
        logger.info("loading %s (move %d)", pointer.tag, pointer.sequence)
        classifier = self._load(pointer)
        old, self.current = self.current, Served(classifier, pointer)
        if old is not None:
            metrics.MODEL.labels(old.classifier.tag).set(0)
        metrics.MODEL.labels(classifier.tag).set(1)
        logger.info("serving %s (move %d)", pointer.tag, pointer.sequence)

    def _load(self, pointer: Pointer) -> Classifier:
        """Fetch and prove a bundle; its files are gone afterwards, the engine keeps them mapped."""
        artifact = self._artifacts.open(pointer.served, ServedManifest)
        said = (artifact.manifest.tag, artifact.manifest.contract.name)
        if said != (pointer.tag, self._name):
            raise ArtifactError(
                "the pointer leads to another model",
                expected=f"{pointer.tag} of {self._name}",
                received=f"{said[0]} of {said[1]}",
            )
        with tempfile.TemporaryDirectory(prefix="leukoflow-model-") as folder:
            return Classifier(self._artifacts.fetch(artifact, Path(folder)))
