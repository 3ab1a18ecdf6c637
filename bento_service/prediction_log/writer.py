"""What one worker remembers: answers, the images it may keep, and returned labels."""

import hashlib
import io
import logging
from datetime import UTC, datetime

from PIL import Image

from bento_service import metrics
from bento_service.inference.classifier import Prediction
from bento_service.prediction_log.uploader import Outbox
from pipeline.adapters.storage import ObjectStore
from pipeline.contract.decoding import Pixels
from pipeline.contract.feedback import FeedbackRecord
from pipeline.contract.image_stats import image_stats
from pipeline.contract.prediction_log import PredictionRecord, kept_path
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

_SWIFT = {"compress_level": 1, "compress_type": Image.RLE}
"""Of a PNG: on photographs of cells quicker than zlib's own search for repeats, and smaller."""


class Records:
    """Written down before the answer leaves, uploaded afterwards; safe from several threads.

    Without a store (STORE_URI is empty) nothing is written, on the disk neither.
    """

    def __init__(self, settings: Settings, objects: ObjectStore, name: str) -> None:
        self.logs = settings.store_uri != ""
        self.keeps_images = settings.keep_images and self.logs
        self._outboxes: tuple[Outbox, ...] = ()
        if not self.logs:
            logger.warning("predictions are not logged: STORE_URI is not set")
            return

        def outbox(folder: str, kind: str) -> Outbox:
            return Outbox(
                settings.leukoflow_home / folder,
                objects,
                f"{settings.store_uri.rstrip('/')}/{kind}",
                name,
                segment_seconds=settings.log_segment_seconds,
            )

        self._kept = outbox("kept", "kept")
        self._answers = outbox("predictions", "logs")
        self._labels = outbox("feedback", "feedback")
        # Images first, so that a line in the store finds its image.
        self._outboxes = (self._kept, self._answers, self._labels)

    def answered(self, prediction: Prediction, tag: str, route: str, request_id: str) -> None:
        """Log an answer and, where images are kept, its image; a full disk costs these alone."""
        if not self.logs:
            return
        now = datetime.now(UTC)
        record = PredictionRecord(
            request_id=request_id,
            time=now,
            tag=tag,
            route=route,
            label=prediction.label,
            decision=prediction.decision,
            probabilities={name: round(p, 5) for name, p in prediction.probabilities.items()},
            cell_found=prediction.prepared.cell_found,
            stats=image_stats(prediction.prepared),
            embedding=tuple(round(float(value), 4) for value in prediction.embedding),
            image=self._keep(prediction.prepared.image, now) if self.keeps_images else "",
        )
        try:
            self._answers.append(record)
        except OSError:
            logger.exception("a prediction could not be logged")
            metrics.LOG_FAILURES.inc()

    def returned(self, feedback: FeedbackRecord) -> None:
        """Write a label down; only where `logs`.

        Raises:
            OSError: when it could not be written.
        """
        self._labels.append(feedback)

    def tend(self) -> None:
        """Upload what is closed."""
        for outbox in self._outboxes:
            outbox.tend()

    def close(self) -> None:
        """Bring everything to safety; what cannot be uploaded waits for the next start."""
        for outbox in self._outboxes:
            outbox.close()

    def _keep(self, image: Pixels, when: datetime) -> str:
        """The SHA-256 that leads to the kept image; empty when there was no room for it."""
        data = _png(image)
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            self._kept.put(kept_path(when, sha256), data)
        except OSError:
            logger.exception("an image could not be kept")
            metrics.LOG_FAILURES.inc()
            return ""
        return sha256


def _png(image: Pixels) -> bytes:
    """Pixels and nothing else: what the file said besides them never came this far."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG", **_SWIFT)
    return out.getvalue()
