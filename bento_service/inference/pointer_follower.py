"""Follow the pointer: load and verify a newly promoted model, then replace the served one."""

import logging
import time
from dataclasses import dataclass

from bento_service import metrics
from bento_service.inference.classifier import Classifier
from bento_service.inference.model_loading import Loader
from bento_service.process.reachability import ReachabilityLog
from pipeline.adapters.pointer_store import Pointer, PointerStore
from pipeline.errors import ArtifactError, PipelineError, UnreachableError

logger = logging.getLogger(__name__)

RETRY_S = 60.0
"""Delay before a refused model is tried again; a move of the pointer ends it."""


@dataclass(frozen=True)
class ServedClassifier:
    """The classifier in use, and its pointer, which is None for a model baked into the image."""

    classifier: Classifier
    pointer: Pointer | None


class PointerFollower:
    """Keeps `current` equal to the model of the pointer; a model that fails is not served."""

    role = "the promoted model"
    models = metrics.MODEL
    refusals = metrics.RELOAD_FAILURES

    def __init__(self, pointers: PointerStore, loader: Loader) -> None:
        self.current: ServedClassifier | None = None
        self.unreadable: UnreachableError | None = None
        """Error of the last attempt to read the pointer; None after a success."""
        self._pointers = pointers
        self._loader = loader
        self._reachability = ReachabilityLog(f"the store with the pointer to {self.role}")
        self._refused: Pointer | None = None
        self._retry_at = 0.0

    def poll(self) -> None:
        """Read the pointer once and serve its model; on any failure the current one stays.

        Never raises: failures are logged and counted.
        """
        pointer = None
        try:
            pointer = self._read_pointer()
            if pointer is not None and self._should_load(pointer):
                self._load_and_serve(pointer)
        except UnreachableError as error:
            self.unreadable = error
            metrics.POINTER_FAILURES.inc()
            self._reachability.failed(error)
            return
        except Exception as error:  # noqa: BLE001
            # Whatever a bundle raises while it loads is a reason not to serve it.
            self._refuse(pointer, error)
        self.unreadable = None
        self._reachability.succeeded()

    def _read_pointer(self) -> Pointer | None:
        """The pointer, None before the first promotion; UnreachableError if it has disappeared."""
        pointer = self._pointers.read()
        if pointer is None and self.current is not None:
            raise UnreachableError("the pointer has disappeared")
        return pointer

    def _should_load(self, pointer: Pointer) -> bool:
        """Whether the pointer's model is neither served now nor was refused within `RETRY_S`."""
        if self.current is not None and self.current.pointer == pointer:
            return False
        return pointer != self._refused or time.monotonic() >= self._retry_at

    def _load_and_serve(self, pointer: Pointer) -> None:
        """Load the model (up to 120 s) and make it `current`; raises what the loader raises."""
        logger.info("loading %s (sequence %d)", pointer.tag, pointer.sequence)
        classifier = self._loader.load(pointer)
        old, self.current = self.current, ServedClassifier(classifier, pointer)
        if old is not None:
            self.models.labels(old.classifier.tag).set(0)
        self.models.labels(classifier.tag).set(1)
        logger.info("serving %s (sequence %d)", pointer.tag, pointer.sequence)

    def _refuse(self, pointer: Pointer | None, error: Exception) -> None:
        """Log and count a refused model and delay the next try; logs nothing within the delay."""
        if pointer == self._refused and time.monotonic() < self._retry_at:
            return
        reason = error.reason if isinstance(error, ArtifactError) else "error"
        unforeseen = not isinstance(error, PipelineError)
        message = "%s is refused (%s); the previous model stays: %s"
        logger.error(message, self.role, reason, error, exc_info=unforeseen)
        self.refusals.labels(reason).inc()
        self._refused, self._retry_at = pointer, time.monotonic() + RETRY_S
