"""One worker's model, line, log and metrics: what the routes of the service share."""

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
from bento_service.http.errors import Refusal
from bento_service.http.schemas import (
    Classification,
    Differential,
    FeedbackRequest,
    FeedbackTaken,
    ModelCard,
)
from bento_service.inference.classifier import Classifier, Explanation, verified
from bento_service.inference.differential import count
from bento_service.inference.follow import Follower, Served
from bento_service.inference.loading import Loader, in_thread
from bento_service.inference.model_card import describe
from bento_service.inference.multi_image import answer_all
from bento_service.inference.responses import answer_of, taken
from bento_service.inference.shadow import Challenger, Shadow
from bento_service.inference.work_queue import Line
from bento_service.prediction_log.writer import Records
from bento_service.process.periodic import Periodic
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Registry
from pipeline.adapters.storage import UriStore
from pipeline.contract.feedback import FeedbackRecord
from pipeline.errors import PipelineError
from pipeline.settings import Settings, load_settings

logger = logging.getLogger(__name__)

Done = TypeVar("Done")
_GRACE = 2.0
"""Patiences for which all threads may hang; until then the worker is only not ready."""


class Serving:
    """Answers images with the model that is to be served now."""

    def __init__(self, settings: Settings) -> None:
        """Get ready to load a baked-in bundle, or to follow the pointer.

        Raises:
            ArtifactError: when a baked-in bundle is not exactly what it should be.
            InvalidInputError: when there is neither a baked-in bundle nor a store.
        """
        self.settings = settings
        if settings.bundle_dir is None:
            settings.require_store()
        self._line = Line(patience=settings.answer_seconds)
        objects = UriStore(settings, hurried=True)
        registry = Registry(objects, settings.store_uri, settings.model_name)
        artifacts = ArtifactStore(objects, settings.store_uri)
        loader = Loader(artifacts, settings.model_name, max_answer_ms=settings.max_answer_ms)
        self._follower = Follower(registry, loader)
        aside = Loader(artifacts, settings.model_name, max_answer_ms=settings.max_answer_ms)
        self._challenger = Challenger(registry, aside)
        self._shadow = Shadow(self._challenger)
        self._asking = 0
        self._baked: Future[Classifier] | None = None
        name = settings.model_name
        if settings.bundle_dir is not None:
            name = verified(settings.bundle_dir).contract.name
        self._records = Records(settings, objects, name)
        tending = min(2.0, settings.log_segment_seconds / 4)
        self._tending = Periodic("records", tending, self._records.tend)
        self._threads = self._make_threads()

    def _make_threads(self) -> list[Periodic]:
        watching = min(1.0, self.settings.answer_seconds / 4)
        threads = [self._tending, Periodic("line", watching, self._watch)]
        if self.settings.bundle_dir is None:
            seconds = self.settings.pointer_poll_seconds
            threads.append(Periodic("pointer", seconds, self._follower.poll))
            threads.append(Periodic("shadow-pointer", seconds, self._challenger.poll))
            threads.append(Periodic("shadow", 0.0, self._shadow.score))
        return threads

    def start(self) -> None:
        """Begin to load, to follow the pointer and to upload what is written down."""
        for thread in self._threads:
            thread.start()
        if self.settings.bundle_dir is not None:
            self._baked = in_thread(partial(Classifier, self.settings.bundle_dir), "load-baked")

    def require_loaded(self) -> None:
        """Wait until a baked-in bundle answers; one that is promoted may come at any time.

        Raises:
            ArtifactError: when it cannot be served.
        """
        if self._baked is not None:
            classifier = self._baked.result()
            self._follower.current = Served(classifier, None)
            metrics.MODEL.labels(classifier.tag).set(1)

    def stop(self) -> None:
        """End the work that runs and bring what is written down to safety."""
        for thread in self._threads:
            thread.stop()
        self._tending.join()  # what else still runs loses nothing
        self._line.close()
        self._records.close()
        metrics.leave()

    @property
    def ready(self) -> bool:
        """Whether there is a model, and a thread that does not hang."""
        return self._follower.current is not None and not self._line.hung

    def turns_away(self) -> bool:
        """Whether a caller with one more image is turned away now."""
        return self._line.turns_away()

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes of the model that is served, none without one."""
        served = self._follower.current
        return served.classifier.contract.classes if served else ()

    def _watch(self) -> None:
        """End a worker whose threads will not come back; its supervisor starts another."""
        if self._line.hung > _GRACE * self.settings.answer_seconds:
            logger.critical("every thread hangs: this worker ends")
            metrics.leave()
            os._exit(os.EX_SOFTWARE)

    async def classify(self, image: bytes, *, route: str, request_id: str) -> Classification:
        """Answer the bytes of one image and log the answer.

        Raises:
            Refusal: 422 for no image, 429, 503 without a model, 504.
        """
        return await self._classify(self._served().classifier, image, route, request_id)

    async def _classify(
        self, classifier: Classifier, image: bytes, route: str, request_id: str
    ) -> Classification:
        started = time.perf_counter()

        def work() -> Classification:
            prediction = classifier.classify(image, crowd=self._line.crowded)
            self._records.answered(prediction, classifier.tag, route, request_id)
            return answer_of(prediction, classifier.tag, request_id)

        answer = await self._in_line(work)
        if not self._asking:  # only then there is time to spare
            self._shadow.offer(image, answer.label)
        metrics.SECONDS.observe(time.perf_counter() - started)
        metrics.PREDICTIONS.labels(route, answer.label, answer.decision).inc()
        return answer

    async def differential(self, images: list[bytes], *, request_id: str) -> Differential:
        """Answer many images with one model, and count; each takes its own turn in the line.

        Raises:
            Refusal: 503 without a model, 504 when one or all of them took too long.
        """
        classifier = self._served().classifier

        async def ask(index: int, image: bytes) -> Classification:
            number = f"{request_id}.{index}"
            return await self._classify(classifier, image, "/differential", number)

        told = await answer_all(images, ask)
        return count(told, classifier.contract.classes, classifier.tag, request_id)

    async def explain(self, image: bytes) -> tuple[Explanation, str]:
        """What the answer to an image rests on, and the tag that answered; not logged.

        Raises:
            Refusal: 422 for no image, 429, 503 without a model, 504.
        """
        classifier = self._served().classifier
        work = partial(classifier.explain, image, crowd=self._line.crowded)
        return await self._in_line(work), classifier.tag

    async def _in_line(self, work: Callable[[], Done]) -> Done:
        """Work in its turn; what it finds wrong with an image is the answer to the client."""
        self._asking += 1
        try:
            return await self._line.run(work)
        except PipelineError as error:
            raise errors.of_pipeline_error(error) from error
        finally:
            self._asking -= 1

    def feedback(self, said: FeedbackRequest) -> FeedbackTaken:
        """Write down what a person says of an answer; whether it was given is found out later.

        Raises:
            Refusal: 422 for a label that is no class, 503 without a model, a store or room.
        """
        if not self._records.logs:
            raise errors.no_store()
        classifier = self._served().classifier
        if said.label not in classifier.contract.classes:
            raise errors.no_class(said.label, classifier.contract.classes)
        record = FeedbackRecord(**said.model_dump(), time=datetime.now(UTC), tag=classifier.tag)
        try:
            self._records.returned(record)
        except OSError as error:
            logger.exception("a returned label could not be written down")
            metrics.LOG_FAILURES.inc()
            raise errors.not_written() from error
        return taken(said, keeps_images=self._records.keeps_images)

    def card(self) -> ModelCard:
        """What is served now.

        Raises:
            Refusal: 503 when there is no model.
        """
        return describe(self._served(), predictions_logged=self._records.logs)

    def _served(self) -> Served:
        served = self._follower.current
        if served is None:
            raise self.why_not_ready() or errors.no_model()
        return served

    def why_not_ready(self) -> Refusal | None:
        """The store's failure that keeps a first model from being loaded, if that is the reason."""
        following = self._follower
        if following.current is None and following.unreadable is not None:
            return errors.store_unreadable(following.unreadable)
        return None


@cache
def begun() -> Serving:
    """The one of this process, which loads its model since the first call.

    Raises:
        ArtifactError: when a baked-in bundle is not exactly what it should be.
    """
    serving = Serving(load_settings())
    serving.start()
    return serving
