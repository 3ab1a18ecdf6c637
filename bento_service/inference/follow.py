"""Following the pointer: the next model is loaded aside and takes over only when it has proven."""

import logging
import time
from dataclasses import dataclass

from bento_service import metrics
from bento_service.inference.classifier import Classifier
from bento_service.inference.loading import Loader
from bento_service.process.reachability import Outage
from pipeline.adapters.registry import Pointer, Registry
from pipeline.errors import ArtifactError, PipelineError, UnreachableError

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

    what = "the promoted model"
    models = metrics.MODEL
    refusals = metrics.RELOAD_FAILURES

    def __init__(self, registry: Registry, loader: Loader) -> None:
        self.current: Served | None = None
        self.unreadable: UnreachableError | None = None
        """Why the last look at the pointer failed; None when the store answered."""
        self._registry = registry
        self._loader = loader
        self._outage = Outage(f"the store that names {self.what}")
        self._refused: Pointer | None = None
        self._retry_at = 0.0

    def poll(self) -> None:
        """Look at the pointer once; whatever goes wrong, the current model goes on serving."""
        pointer = None
        try:
            pointer = self._read()
            if pointer is not None and self._is_news(pointer):
                self._follow(pointer)
        except UnreachableError as error:
            self.unreadable = error
            metrics.POINTER_FAILURES.inc()
            self._outage.began(error)
            return
        except Exception as error:  # noqa: BLE001
            # Anything that a bundle can do to its loader is a reason not to serve it.
            self._refuse(pointer, error)
        self.unreadable = None
        self._outage.ended()

    def _read(self) -> Pointer | None:
        """The pointer; none is no failure as long as there has never been one."""
        pointer = self._registry.read()
        if pointer is None and self.current is not None:
            raise UnreachableError("the pointer is gone")
        return pointer

    def _is_news(self, pointer: Pointer) -> bool:
        """Whether it was neither followed nor just refused; a return has a new sequence number."""
        if self.current is not None and self.current.pointer == pointer:
            return False
        return pointer != self._refused or time.monotonic() >= self._retry_at

    def _follow(self, pointer: Pointer) -> None:
        logger.info("loading %s (move %d)", pointer.tag, pointer.sequence)
        classifier = self._loader.load(pointer)
        old, self.current = self.current, Served(classifier, pointer)
        if old is not None:
            self.models.labels(old.classifier.tag).set(0)
        self.models.labels(classifier.tag).set(1)
        logger.info("serving %s (move %d)", pointer.tag, pointer.sequence)

    def _refuse(self, pointer: Pointer | None, error: Exception) -> None:
        if pointer == self._refused and time.monotonic() < self._retry_at:
            return  # what cannot be read is read at every poll, but told once in a while
        reason = error.reason if isinstance(error, ArtifactError) else "error"
        unforeseen = not isinstance(error, PipelineError)
        told = "%s is refused (%s), the old one stays: %s"
        logger.error(told, self.what, reason, error, exc_info=unforeseen)
        self.refusals.labels(reason).inc()
        self._refused, self._retry_at = pointer, time.monotonic() + RETRY_SECONDS
