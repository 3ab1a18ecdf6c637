"""Shadow scoring: a challenger classifies served images in spare time; clients never see it."""

import contextlib
import queue

from bento_service import metrics
from bento_service.inference.pointer_follower import PointerFollower
from pipeline.adapters.pointer_store import Pointer

_WAIT_S = 0.5


class Challenger(PointerFollower):
    """Keeps `current` equal to the model of the shadow pointer; None without one."""

    role = "the shadow challenger"
    models = metrics.SHADOW_MODEL
    refusals = metrics.SHADOW_REFUSALS

    def _read_pointer(self) -> Pointer | None:
        """The shadow pointer; without one, stops serving the challenger and returns None."""
        pointer = self._pointers.shadow()
        if pointer is None and self.current is not None:
            self.models.labels(self.current.classifier.tag).set(0)
            self.current = None
        return pointer


class ShadowScorer:
    """Classifies served images by the challenger too, one at a time, and counts agreements."""

    def __init__(self, challenger: Challenger) -> None:
        self._challenger = challenger
        self._slot: queue.Queue[tuple[bytes, str]] = queue.Queue(1)

    def offer(self, image: bytes, label: str) -> None:
        """Queue an image and its served label without waiting; dropped while another waits."""
        if self._challenger.current is not None:
            with contextlib.suppress(queue.Full):
                self._slot.put_nowait((image, label))

    def score(self) -> None:
        """Wait half a second for a queued image, classify it and count the agreement."""
        try:
            image, label = self._slot.get(timeout=_WAIT_S)
        except queue.Empty:
            return
        current = self._challenger.current
        if current is not None:
            predicted = current.classifier.classify(image).label
            agree = "yes" if predicted == label else "no"
            metrics.SHADOW.labels(current.classifier.tag, agree).inc()
