"""Throughput and latency of the service and its engine, against Keras and the replaced app.

Clients and server share the machine's cores: HTTP rows include the cost of the clients.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.images import drawn_jpeg, random_crops
from benchmarks.measure import Row, ratio, ratio_row, single_row
from benchmarks.service.clients import Load, post_image, run_workers
from benchmarks.service.engine_utilisation import utilisation_rows
from benchmarks.service.promoted_model import Promoted, promote
from benchmarks.service.running_service import running_service, worker_megabytes
from benchmarks.service.stages import stage_rows
from benchmarks.service.start_time import running_command, start_rows
from bento_service.inference.classifier import Classifier
from bento_service.inference.work_queue import THREADS
from pipeline.artifacts import MANIFEST, ServedManifest
from pipeline.contract.image_stats import image_stats
from pipeline.embedded.ports import free_block
from pipeline.engine.serving_engine import Engine

SATURATION = 4
"""Clients that keep all worker threads busy and one request in the queue."""
SECONDS, ROUNDS = 3.0, 5
CLIENTS = (1, 2, 4, 8)
RunLoad = Callable[[], Load]


def rows() -> list[Row]:
    """Engine, throughput, latencies, start time and memory of one promoted model."""
    image = drawn_jpeg()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = promote(folder)
        return [*_engine(model), *_in_process(model, image), *_http(model, folder, image)]


def _engine(promoted: Promoted) -> list[Row]:
    """The engine at batch 1, from pixels to probabilities, against Keras."""
    import keras
    import tensorflow as tf

    manifest = ServedManifest.model_validate_json((promoted.served / MANIFEST).read_text())
    engine = Engine(promoted.served, manifest.parity.precision)
    network = keras.models.load_model(promoted.bundle / "model.keras", compile=False)
    side = manifest.contract.input_size
    crop = random_crops(1, side)
    compiled = tf.function(network, reduce_retracing=True)
    tensor = tf.constant(crop)
    subject = partial(_repeat, partial(engine.predict, crop))
    baselines: dict[str, Callable[[], object]] = {
        "tf.function, same model": partial(compiled, tensor),
        "Keras predict, same model": partial(network.predict, crop, verbose=0),
    }
    name = f"engine {manifest.parity.precision}, batch 1"
    return [
        ratio(name, subject, partial(_repeat, work), baseline)
        for baseline, work in baselines.items()
    ]


def _in_process(promoted: Promoted, image: bytes) -> list[Row]:
    """Stages of a prediction, and the engine's share of the processor's peak."""
    classifier = Classifier(promoted.served)
    parity = classifier.manifest.parity
    stages = stage_rows(classifier, Engine(promoted.served, parity.precision), image)
    return [*stages, *utilisation_rows(promoted.served, parity.precision)]


def _repeat(work: Callable[[], object], times: int = 10) -> None:
    for _ in range(times):
        work()


def _http(promoted: Promoted, folder: Path, image: bytes) -> list[Row]:
    """Start time, throughput, latencies and memory of the running service."""
    starts = start_rows(folder / "home", promoted.store)
    with running_service(folder / "home", promoted.store) as (root, _):
        url = f"{root}/classify"
        load = partial(run_workers, post_image(url, image), SATURATION, SECONDS)
        rows = [
            *starts,
            *_in_process_throughput(promoted, load, image),
            *_latencies(url, image),
            single_row(
                "memory of the service", worker_megabytes(root), "MB", "resident, worker process"
            ),
        ]
        for side in (224, 128):
            with _replaced_app(side) as replaced_url:
                work = post_image(replaced_url, image)
                baseline = partial(run_workers, work, SATURATION, SECONDS)
                name = f"Flask and Keras, model kept loaded, {side} px"
                rows.append(_throughput(load, baseline, name))
        return rows


def _in_process_throughput(promoted: Promoted, load: RunLoad, image: bytes) -> list[Row]:
    """HTTP against the same work in this process and the engine alone, with equal threads."""
    classifier = Classifier(promoted.served)
    crop = classifier.classify(image).prepared.crop[None]
    engine = Engine(promoted.served, classifier.manifest.parity.precision)

    def predict() -> None:
        image_stats(classifier.classify(image, concurrent=lambda: True).prepared)

    works: dict[str, Callable[[], object]] = {
        "decode, locate, engine and statistics in one process": predict,
        "the engine alone": partial(engine.predict, crop, concurrent=True),
    }
    return [
        _throughput(
            load,
            partial(run_workers, partial(_same, work), THREADS, SECONDS),
            f"{name}, {THREADS} threads",
        )
        for name, work in works.items()
    ]


def _same(work: Callable[[], object]) -> Callable[[], object]:
    """The same callable for every worker; for `run_workers`."""
    return work


def _throughput(subject: RunLoad, baseline: RunLoad, baseline_name: str) -> Row:
    """Ratio of the rates, measured alternately."""
    logs = [np.log(subject().rate / baseline().rate) for _ in range(ROUNDS)]
    return ratio_row("HTTP throughput at saturation", np.array(logs), "times", baseline_name)


def _latencies(url: str, image: bytes) -> list[Row]:
    """Percentiles of HTTP latency, for each number of clients."""
    rows = []
    for clients in CLIENTS:
        load = run_workers(post_image(url, image), clients, 2 * SECONDS)
        total = f"{load.rate:.0f} responses/s, {len(load.latencies)} in total"
        for percentile in (50, 95, 99):
            name = f"HTTP latency p{percentile}, clients: {clients}"
            value = float(np.percentile(load.latencies, percentile))
            rows.append(single_row(name, value, "ms", total))
    return rows


@contextmanager
def _replaced_app(side: int) -> Iterator[str]:
    """Run the replaced application within the block; yields its URL."""
    port = free_block(1)
    url = f"http://127.0.0.1:{port}/classify"
    module = "benchmarks.service.baselines.replaced_app"
    with running_command([sys.executable, "-m", module, str(port), str(side)], url):
        yield url
