"""Prediction log of one worker: predictions, kept images, and feedback."""

import io
import logging
from datetime import UTC, datetime

from PIL import Image

from bento_service import metrics
from bento_service.inference.classifier import Prediction
from bento_service.prediction_log.uploader import LogUploader
from pipeline.adapters.storage import ObjectStore
from pipeline.contract.decoding import Pixels
from pipeline.contract.feedback_log import FeedbackRecord
from pipeline.contract.image_stats import image_stats
from pipeline.contract.prediction_log import PredictionRecord, kept_image_path
from pipeline.digests import sha256_bytes
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

_PNG_OPTIONS = {"compress_level": 1, "compress_type": Image.RLE}
"""Faster than zlib's default for photographs of cells, and smaller."""


class PredictionLog:
    """Writes to disk before the response is sent and uploads afterwards; thread-safe.

    Without a store (STORE_URI is empty) nothing is written, not even to disk.
    """

    def __init__(self, settings: Settings, objects: ObjectStore, name: str) -> None:
        self.enabled = settings.store_uri != ""
        self.keeps_images = settings.keep_images and self.enabled
        self._uploaders: tuple[LogUploader, ...] = ()
        if not self.enabled:
            logger.warning("predictions are not logged: STORE_URI is not set")
            return

        def new_uploader(folder: str, kind: str) -> LogUploader:
            return LogUploader(
                settings.leukoflow_home / folder,
                objects,
                f"{settings.store_uri.rstrip('/')}/{kind}",
                name,
                segment_seconds=settings.log_segment_seconds,
            )

        self._kept = new_uploader("kept", "kept")
        self._predictions = new_uploader("predictions", "logs")
        self._feedback = new_uploader("feedback", "feedback")
        # Images first: a line in the store must not refer to an image that is not there.
        self._uploaders = (self._kept, self._predictions, self._feedback)

    def log_prediction(self, prediction: Prediction, tag: str, route: str, request_id: str) -> None:
        """Write one line and, with KEEP_IMAGES, the image; an OSError is logged, not raised.

        Counted in the metrics too. Does nothing without a store.
        """
        if not self.enabled:
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
            image=self._keep_image(prediction.prepared.image, now) if self.keeps_images else "",
        )
        try:
            self._predictions.append(record)
        except OSError:
            logger.exception("a prediction could not be logged")
            metrics.LOG_FAILURES.inc()

    def log_feedback(self, feedback: FeedbackRecord) -> None:
        """Write a returned label to disk; call it only where `enabled`.

        Raises:
            OSError: when it cannot be written.
        """
        self._feedback.append(feedback)

    def upload_due(self) -> None:
        """Seal segments that are due and upload closed files; a failed upload is only logged."""
        for uploader in self._uploaders:
            uploader.upload_due()

    def close(self) -> None:
        """Seal and upload everything; a failed upload waits on disk for the next start."""
        for uploader in self._uploaders:
            uploader.close()

    def _keep_image(self, image: Pixels, when: datetime) -> str:
        """Write the image to disk; returns its SHA-256, or '' (logged, counted) on an OSError."""
        data = _png(image)
        sha256 = sha256_bytes(data)
        try:
            self._kept.put(kept_image_path(when, sha256), data)
        except OSError:
            logger.exception("an image could not be stored")
            metrics.LOG_FAILURES.inc()
            return ""
        return sha256


def _png(image: Pixels) -> bytes:
    """The image as a PNG without metadata."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG", **_PNG_OPTIONS)
    return out.getvalue()
