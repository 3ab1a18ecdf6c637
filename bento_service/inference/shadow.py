"""A challenger that scores answered images as well, on spare time; nobody is told its answers."""

import contextlib
import queue

from bento_service import metrics
from bento_service.inference.follow import Follower
from pipeline.adapters.registry import Pointer

_WAIT_SECONDS = 0.5


class Challenger(Follower):
    """Keeps `current` equal to what the shadow pointer says, None when it names nobody."""

    what = "the challenger in the shadow"
    models = metrics.SHADOW_MODEL
    refusals = metrics.SHADOW_REFUSALS

    def _read(self) -> Pointer | None:
        pointer = self._registry.shadow()
        if pointer is None and self.current is not None:
            self.models.labels(self.current.classifier.tag).set(0)
            self.current = None
        return pointer


class Shadow:
    """Compares the challenger's answers with those that were given, one image at a time."""

    def __init__(self, challenger: Challenger) -> None:
        self._challenger = challenger
        self._slot: queue.Queue[tuple[bytes, str]] = queue.Queue(1)

    def offer(self, image: bytes, label: str) -> None:
        """Leave an image and its answer; dropped while the one before is not scored."""
        if self._challenger.current is not None:
            with contextlib.suppress(queue.Full):
                self._slot.put_nowait((image, label))

    def score(self) -> None:
        """Score what was left here, if anything; for a thread that calls again and again."""
        try:
            image, label = self._slot.get(timeout=_WAIT_SECONDS)
        except queue.Empty:
            return
        current = self._challenger.current
        if current is not None:
            named = current.classifier.classify(image).label
            agree = "yes" if named == label else "no"
            metrics.SHADOW.labels(current.classifier.tag, agree).inc()
