"""State of a worker process: served model, work queue and prediction log; handles requests."""

import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import cache, partial
from typing import TypeVar

from bento_service import metrics
from bento_service.http import errors
from bento_service.http.errors import HttpError
from bento_service.http.schemas import (
    Classification,
    CountedDifferential,
    Differential,
    DifferentialCounts,
    FeedbackReceipt,
    FeedbackRequest,
    ModelCard,
)
from bento_service.inference.bundle_verification import verify_bundle
from bento_service.inference.classifier import Classifier, Explanation
from bento_service.inference.differential import counted_differential, differential
from bento_service.inference.model_card import model_card
from bento_service.inference.model_loading import Loader, load_in_thread
from bento_service.inference.multi_image import classify_all
from bento_service.inference.pointer_follower import PointerFollower, ServedClassifier
from bento_service.inference.responses import classification_response, feedback_receipt
from bento_service.inference.shadow import Challenger, ShadowScorer
from bento_service.inference.work_queue import WorkQueue
from bento_service.prediction_log.writer import PredictionLog
from bento_service.process.periodic import Periodic
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import PointerStore
from pipeline.adapters.storage import UriStore
from pipeline.contract.class_names import match
from pipeline.contract.feedback_log import FeedbackRecord
from pipeline.errors import PipelineError
from pipeline.settings import Settings, load_settings

logger = logging.getLogger(__name__)

T = TypeVar("T")
_MAX_STALL = 2.0
"""In request timeouts: a worker whose threads stall longer exits; until then it is not ready."""


class WorkerState:
    """State of a worker: classifies with the current model, logs, explains, takes feedback."""

    def __init__(self, settings: Settings) -> None:
        """Prepare to load a baked-in bundle or to follow the pointer; starts no thread.

        Raises:
            ArtifactError: when a baked-in bundle fails verification.
            InvalidInputError: without a baked-in bundle and a store.
        """
        self.settings = settings
        if settings.bundle_dir is None:
            settings.require_store()
        self._queue = WorkQueue(timeout_s=settings.answer_seconds)
        objects = UriStore(settings, fail_fast=True)
        pointers = PointerStore(objects, settings.store_uri, settings.model_name)
        artifacts = ArtifactStore(objects, settings.store_uri)
        loader = Loader(artifacts, settings.model_name, max_answer_ms=settings.max_answer_ms)
        self._follower = PointerFollower(pointers, loader)
        shadow_loader = Loader(artifacts, settings.model_name, max_answer_ms=settings.max_answer_ms)
        self._challenger = Challenger(pointers, shadow_loader)
        self._shadow = ShadowScorer(self._challenger)
        self._in_flight = 0
        self._baked: Future[Classifier] | None = None
        baked = settings.bundle_dir
        name = verify_bundle(baked).contract.name if baked else settings.model_name
        self._log = PredictionLog(settings, objects, name)
        upload_interval = min(2.0, settings.log_segment_seconds / 4)
        self._uploading = Periodic("upload", upload_interval, self._log.upload_due)
        self._threads = self._make_threads()

    def _make_threads(self) -> list[Periodic]:
        """Threads, not yet started; those for the pointer only without a baked-in bundle."""
        watch_interval = min(1.0, self.settings.answer_seconds / 4)
        threads = [self._uploading, Periodic("watchdog", watch_interval, self._exit_if_stalled)]
        if self.settings.bundle_dir is None:
            seconds = self.settings.pointer_poll_seconds
            threads.append(Periodic("pointer", seconds, self._follower.poll))
            threads.append(Periodic("shadow-pointer", seconds, self._challenger.poll))
            threads.append(Periodic("shadow", 0.0, self._shadow.score))
        return threads

    def start(self) -> None:
        """Start threads: loading, pointer, shadow, upload, watchdog (may exit the process)."""
        for thread in self._threads:
            thread.start()
        if self.settings.bundle_dir is not None:
            load = partial(Classifier, self.settings.bundle_dir)
            self._baked = load_in_thread(load, "load-baked")

    def wait_until_loaded(self) -> None:
        """Wait until a baked-in bundle is loaded, and serve it; returns at once without one.

        Raises:
            ArtifactError: when the bundle cannot be served.
        """
        if self._baked is not None:
            classifier = self._baked.result()
            self._follower.current = ServedClassifier(classifier, None)
            metrics.MODEL.labels(classifier.tag).set(1)

    def stop(self) -> None:
        """Stop threads, cancel queued work, wait for running work (5 s), upload the logs."""
        for thread in self._threads:
            thread.stop()
        self._uploading.join()  # the other threads have nothing to lose
        self._queue.close()
        self._log.close()
        metrics.mark_dead()

    @property
    def ready(self) -> bool:
        """Whether a model is loaded and a worker thread is healthy."""
        return self._follower.current is not None and not self._queue.stalled_s

    def reject_if_full(self) -> bool:
        """Whether the queue is full, so that a single image is rejected; counts the rejection."""
        return self._queue.reject_if_full()

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes of the served model; empty without one."""
        served = self._follower.current
        return served.classifier.contract.classes if served else ()

    def _exit_if_stalled(self) -> None:
        """Exit the process if all worker threads stall for too long; the supervisor restarts it."""
        if self._queue.stalled_s > _MAX_STALL * self.settings.answer_seconds:
            logger.critical("all worker threads have stalled: the worker exits")
            metrics.mark_dead()
            os._exit(os.EX_SOFTWARE)

    async def classify(self, image: bytes, *, route: str, request_id: str) -> Classification:
        """Classify one image in the queue and log it; a full disk of the log is not an error.

        Raises:
            HttpError: 422 for an invalid image, 429, 503 without a model, 504.
        """
        return await self._classify(self._served().classifier, image, route, request_id)

    async def _classify(
        self, classifier: Classifier, image: bytes, route: str, request_id: str
    ) -> Classification:
        """Classify in the queue, log, offer to the shadow, count; the response to one image."""
        started = time.perf_counter()

        def classify_and_log() -> Classification:
            prediction = classifier.classify(image, concurrent=self._queue.concurrent)
            self._log.log_prediction(prediction, classifier.tag, route, request_id)
            return classification_response(prediction, classifier.tag, request_id)

        result = await self._enqueue(classify_and_log)
        if not self._in_flight:  # shadow scoring uses idle time only
            self._shadow.offer(image, result.label)
        metrics.SECONDS.observe(time.perf_counter() - started)
        metrics.PREDICTIONS.labels(route, result.label, result.decision).inc()
        return result

    async def differential(self, images: list[bytes], *, request_id: str) -> Differential:
        """Classify many images with one model, log each, and count them; each takes a queue slot.

        Raises:
            HttpError: 503 without a model, 504 when one or all of them took too long.
        """
        classifier = self._served().classifier

        async def classify(index: int, image: bytes) -> Classification:
            number = f"{request_id}.{index}"
            return await self._classify(classifier, image, "/differential", number)

        results = await classify_all(images, classify)
        return differential(results, classifier.contract.classes, classifier.tag, request_id)

    def shares(self, request: DifferentialCounts) -> CountedDifferential:
        """Shares and intervals of cell counts that the client sends; needs no model."""
        return counted_differential(request.counts)

    async def explain(self, image: bytes) -> tuple[Explanation, str]:
        """Evidence map of an image and the tag of the model; takes a queue slot, logs nothing.

        Raises:
            HttpError: 422 for an invalid image, 429, 503 without a model, 504.
        """
        classifier = self._served().classifier
        work = partial(classifier.explain, image, concurrent=self._queue.concurrent)
        return await self._enqueue(work), classifier.tag

    async def _enqueue(self, work: Callable[[], T]) -> T:
        """Run work in the queue and return its result; a PipelineError becomes an HttpError."""
        self._in_flight += 1
        try:
            return await self._queue.run(work)
        except PipelineError as error:
            raise errors.from_pipeline_error(error) from error
        finally:
            self._in_flight -= 1

    def feedback(self, request: FeedbackRequest) -> FeedbackReceipt:
        """Write a returned label to the log; does not check that its request id exists.

        The label is stored as the model spells its class.

        Raises:
            HttpError: 422 for an unknown class, 503 without a model, a store or disk space.
        """
        if not self._log.enabled:
            raise errors.no_store()
        classifier = self._served().classifier
        label = match(request.label, classifier.contract.classes)
        if label is None:
            raise errors.unknown_label(request.label, classifier.contract.classes)
        request = request.model_copy(update={"label": label})
        record = FeedbackRecord(**request.model_dump(), time=datetime.now(UTC), tag=classifier.tag)
        try:
            self._log.log_feedback(record)
        except OSError as error:
            logger.exception("a returned label could not be stored")
            metrics.LOG_FAILURES.inc()
            raise errors.feedback_not_stored() from error
        return feedback_receipt(request, keeps_images=self._log.keeps_images)

    def model_card(self) -> ModelCard:
        """The card of the served model; `HttpError` 503 without one."""
        return model_card(self._served(), predictions_logged=self._log.enabled)

    def _served(self) -> ServedClassifier:
        """The current model and its pointer; without one raises HttpError 503."""
        served = self._follower.current
        if served is None:
            raise self.not_ready_reason() or errors.no_model()
        return served

    def not_ready_reason(self) -> HttpError | None:
        """The 503 if the store is unreadable and no model is loaded, else None; raises nothing."""
        unreadable = None if self._follower.current else self._follower.unreadable
        return errors.store_unreadable(unreadable) if unreadable else None


@cache
def shared_worker_state() -> WorkerState:
    """The one `WorkerState` of this process, created and started by the first call.

    Raises:
        ArtifactError: when a baked-in bundle fails verification.
    """
    serving = WorkerState(load_settings())
    serving.start()
    return serving
