"""The service over HTTP, and its engine, against Keras, its own work, and the replaced app.

Client and server share the machine's cores, so HTTP figures carry the client's share too.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, ratio, ratio_row, single_row
from benchmarks.service.clients import Seen, keep_busy, post_image
from benchmarks.service.peak import peak_rows
from benchmarks.service.promoted import Promoted, promote
from benchmarks.service.served import megabytes, served
from benchmarks.service.stages import stage_rows
from benchmarks.service.start_time import start_rows, started
from bento_service.inference.classifier import Classifier
from bento_service.inference.work_queue import THREADS
from pipeline.artifacts import MANIFEST, ServedManifest
from pipeline.contract.image_stats import image_stats
from pipeline.embedded.ports import free_block
from pipeline.engine.engine import Engine
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import HOME

SATURATION = 4
"""Clients that keep the line's threads busy and one in wait."""
SECONDS, ROUNDS = 3.0, 5
CLIENTS = (1, 2, 4, 8)
Busy = Callable[[], Seen]


def rows() -> list[Row]:
    """Engine, saturation, latencies, start and memory, from one model on this machine."""
    ((_, image),) = draw_images(1, 1, HOME)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = promote(folder)
        return [*_engine(made), *_in_process(made, image), *_http(made, folder, image)]


def _engine(made: Promoted) -> list[Row]:
    """Batch 1, the whole model: pixels to probabilities."""
    import keras
    import tensorflow as tf

    manifest = ServedManifest.model_validate_json((made.served / MANIFEST).read_text())
    engine = Engine.of(made.served, manifest.parity)
    model = keras.models.load_model(made.bundle / "model.keras", compile=False)
    side = manifest.contract.input_size
    crop = np.random.default_rng(1).integers(0, 256, (1, side, side, 3), np.uint8)
    compiled = tf.function(model, reduce_retracing=True)
    tensor = tf.constant(crop)
    subject = partial(_repeat, partial(engine.predict, crop))
    traced = partial(_repeat, partial(compiled, tensor))
    name = f"engine {manifest.parity.precision}, batch 1"
    return [
        ratio(name, subject, traced, "the same in tf.function"),
        ratio(
            name,
            subject,
            partial(_repeat, partial(model.predict, crop, verbose=0)),
            "the same in Keras predict",
        ),
    ]


def _in_process(made: Promoted, image: bytes) -> list[Row]:
    classifier = Classifier(made.served)
    parity = classifier.manifest.parity
    stages = stage_rows(classifier, Engine.of(made.served, parity), image)
    return [*stages, *peak_rows(made.served, parity.precision)]


def _repeat(work: Callable[[], object], times: int = 10) -> None:
    for _ in range(times):
        work()


def _http(made: Promoted, folder: Path, image: bytes) -> list[Row]:
    starts = start_rows(folder / "home", made.store)
    with served(folder / "home", made.store) as (root, _):
        url = f"{root}/classify"
        busy = partial(keep_busy, post_image(url, image), SATURATION, SECONDS)
        found = [
            *starts,
            *_against_itself(made, busy, image),
            *_latencies(url, image),
            single_row("memory of the service", megabytes(root), "MB", "resident"),
        ]
        for side in (224, 128):
            with _replaced_app(side) as old:
                rival = partial(keep_busy, post_image(old, image), SATURATION, SECONDS)
                found.append(
                    _throughput(busy, rival, f"Flask and Keras, model kept loaded, {side} px")
                )
        return found


def _against_itself(made: Promoted, busy: Busy, image: bytes) -> list[Row]:
    """The same work in this process, and the engine alone, with as many threads as the line."""
    classifier = Classifier(made.served)
    crop = classifier.classify(image).prepared.crop[None]
    engine = Engine.of(made.served, classifier.manifest.parity)

    def work() -> None:
        image_stats(classifier.classify(image, concurrent=lambda: True).prepared)

    alone: list[tuple[str, Callable[[], object]]] = [
        ("decode, locate, engine and statistics in one process", work),
        ("the engine alone", partial(engine.predict, crop, concurrent=True)),
    ]
    return [
        _throughput(
            busy, partial(keep_busy, _same(act), THREADS, SECONDS), f"{name}, {THREADS} threads"
        )
        for name, act in alone
    ]


def _same(act: Callable[[], object]) -> Callable[[], Callable[[], object]]:
    return lambda: act


def _throughput(subject: Busy, baseline: Busy, against: str) -> Row:
    """Rates in turns."""
    logs = [np.log(subject().rate / baseline().rate) for _ in range(ROUNDS)]
    return ratio_row("HTTP throughput at saturation", np.array(logs), "times", against)


def _latencies(url: str, image: bytes) -> list[Row]:
    found = []
    for clients in CLIENTS:
        seen = keep_busy(post_image(url, image), clients, 2 * SECONDS)
        for percentile in (50, 95, 99):
            found.append(
                single_row(
                    f"HTTP latency p{percentile}, clients: {clients}",
                    float(np.percentile(seen.latencies, percentile)),
                    "ms",
                    f"{seen.rate:.0f} answers a second, {len(seen.latencies)} in all",
                )
            )
    return found


@contextmanager
def _replaced_app(side: int) -> Iterator[str]:
    port = free_block(1)
    url = f"http://127.0.0.1:{port}/classify"
    command = [sys.executable, "-m", "benchmarks.service.replaced_app", str(port), str(side)]
    with started(command, url):
        yield url
