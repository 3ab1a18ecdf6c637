"""Classifier of one served bundle, verified against its manifest and its golden images.

`python -m bento_service.inference.classifier check FOLDER` verifies and measures a bundle
in a separate process and prints the result as JSON, for the promotion gate.
"""

import json
import logging
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bento_service.http.schemas import Reason
from bento_service.inference.bundle_verification import verify_bundle
from pipeline.artifacts import ServedManifest
from pipeline.contract.decision import ReasonCode, ReviewDecision, ReviewRule, decide, read_review
from pipeline.contract.decoding import Pixels
from pipeline.contract.golden_images import GOLDEN, read_golden, replay_golden
from pipeline.contract.preprocessing import Prepared, prepare
from pipeline.engine.evidence_map import evidence_picture, occlusion_map
from pipeline.engine.serving_engine import Engine
from pipeline.errors import ArtifactError, PipelineError

logger = logging.getLogger(__name__)

METRICS = "metrics.json"
IsConcurrent = Callable[[], bool]
"""Callback that returns whether other requests are running."""
EVIDENCE_SIDE = 384
"""Side of an evidence map, in pixels."""
_TIMED_ROUNDS = 20


@dataclass(frozen=True)
class Prediction:
    """Result for one image: decoded and cropped pixels, class, decision and embedding."""

    prepared: Prepared
    label: str
    probabilities: dict[str, float]
    decision: ReviewDecision
    reasons: tuple[Reason, ...]
    uncertainty: float
    """Largest ratio of a measure to its review limit, 0 to 100; 1 is the limit."""
    embedding: NDArray[np.float32]
    """(embedding_size,)"""


@dataclass(frozen=True)
class Explanation:
    """Evidence map of a prediction: an aid for checking, not a proof."""

    label: str
    picture: Image.Image
    """The crop in grey, (EVIDENCE_SIDE, EVIDENCE_SIDE): orange is evidence for the label, blue
    against it."""


class Classifier:
    """Classifies images with one verified bundle; thread-safe."""

    def __init__(self, folder: Path) -> None:
        """Load a bundle folder, verify it, replay its golden images; may take seconds.

        The folder may be removed afterwards.

        Raises:
            ArtifactError: when a file is missing, unlisted or changed, the preprocessing version
                or the review rule does not fit, the engine cannot run the model, or a golden image
                gets another result than in training.
        """
        self.manifest = verify_bundle(folder)
        self.contract = self.manifest.contract
        self.rule = read_review(folder, self.contract)
        self.metrics = _read_metrics(folder)
        self._engine = _load_engine(folder, self.manifest)
        precision = self.manifest.parity.precision
        # Single requests last: they are timed, and at a start another core still imports BentoML.
        predict = self._engine.probabilities
        concurrent, single = (
            replay_golden(folder, self.contract, partial(predict, concurrent=mode), precision)
            for mode in (True, False)
        )
        self.golden_worst = max(single.max_difference, concurrent.max_difference)
        self.golden_ms = single.median_ms

    @property
    def tag(self) -> str:
        """`<name>:<12 hex digits>` of the model."""
        return self.manifest.tag

    def classify(self, data: bytes, *, concurrent: IsConcurrent = lambda: False) -> Prediction:
        """Decode, predict and decide on one JPEG or PNG; blocks, logs nothing.

        Args:
            data: of the image.
            concurrent: called after decoding; see `Engine.predict`.

        Raises:
            InvalidInputError: when the image cannot be decoded.
        """
        prepared = prepare(data, self.contract)
        outputs = self._engine.predict(prepared.crop[None], concurrent=concurrent())
        probabilities, embedding = (output[0] for output in outputs)
        by_class = dict(zip(self.contract.classes, map(float, probabilities), strict=True))
        decision = decide(
            tuple(by_class.values()), embedding, prepared.cell_found, self.contract, self.rule
        )
        return Prediction(
            prepared=prepared,
            label=decision.label,
            probabilities=by_class,
            decision=decision.decision,
            reasons=_reasons(decision.reasons, by_class[decision.label], embedding, self.rule),
            uncertainty=decision.uncertainty,
            embedding=embedding,
        )

    def explain(self, data: bytes, *, concurrent: IsConcurrent = lambda: False) -> Explanation:
        """Evidence map by occlusion: dozens of predictions, one per covered part of the crop.

        Args:
            data: of the image.
            concurrent: called before each prediction; see `Engine.predict`.

        Raises:
            InvalidInputError: when the image cannot be decoded.
        """

        def predict(crops: Pixels) -> NDArray[np.float32]:
            engine = self._engine
            return np.stack([engine.probabilities(one, concurrent=concurrent()) for one in crops])

        crop = prepare(data, self.contract).crop
        predicted = int(predict(crop[None]).argmax())
        evidence = occlusion_map(predict, crop, predicted)
        picture = evidence_picture(crop, evidence, EVIDENCE_SIDE)
        return Explanation(self.contract.classes[predicted], picture)


def _reasons(
    codes: tuple[ReasonCode, ...],
    confidence: float,
    embedding: NDArray[np.float32],
    rule: ReviewRule,
) -> tuple[Reason, ...]:
    """The reasons for a review, each with a message that names the value and its limit."""
    ratio = rule.distance(embedding) / rule.max_distance
    messages: dict[ReasonCode, str] = {
        "low_confidence": (
            f"Confidence {confidence:.1%} is below the limit of {rule.min_confidence:.1%}."
        ),
        "far_from_training": (
            "The image differs from the training images: its distance is "
            f"{ratio:.1f}x the review limit."
        ),
        "no_cell_found": "No stained nucleus was found; the whole image was classified.",
    }
    return tuple(Reason(code=code, message=messages[code]) for code in codes)


def _read_metrics(folder: Path) -> dict[str, Any]:
    """Read the training run's scores from `metrics.json`; empty without that file."""
    path = folder / METRICS
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _load_engine(folder: Path, manifest: ServedManifest) -> Engine:
    """Load the engine and run it once; ArtifactError unless its outputs fit the contract."""
    contract = manifest.contract
    blank = np.zeros((1, contract.input_size, contract.input_size, 3), np.uint8)
    try:
        engine = Engine(folder, manifest.parity.precision)
        probabilities, embedding = engine.predict(blank)
    except RuntimeError as error:  # the only exception of OpenVINO
        raise ArtifactError(f"the engine cannot run the model: {error}") from error
    received = (probabilities.shape, embedding.shape)
    expected = ((1, len(contract.classes)), (1, contract.embedding_size))
    if received != expected:
        raise ArtifactError(
            "the model's outputs do not have the shapes of its contract",
            expected=str(expected),
            received=str(received),
        )
    if not (np.isfinite(probabilities).all() and np.isfinite(embedding).all()):
        raise ArtifactError(
            "the model's outputs for a blank image are not finite: export or train the model again",
            expected="finite probabilities and a finite embedding",
            received=f"probabilities {probabilities[0].tolist()}",
        )
    return engine


def median_latency_ms(classifier: Classifier, folder: Path, rounds: int) -> float:
    """Median latency of a golden image in milliseconds, one at a time, over `rounds` runs."""
    images = [(folder / GOLDEN / example.file).read_bytes() for example in read_golden(folder)]
    times = []
    for index in range(rounds):
        before = time.perf_counter()
        classifier.classify(images[index % len(images)])
        times.append(time.perf_counter() - before)
    return round(statistics.median(times) * 1000, 2)


def check(folder: Path) -> dict[str, Any]:
    """Load a bundle and measure latency, load time and peak memory; raises as `Classifier`."""
    started = time.perf_counter()
    classifier = Classifier(folder)
    loaded = time.perf_counter()
    return {
        "ok": True,
        "tag": classifier.tag,
        "golden_worst": classifier.golden_worst,
        "load_seconds": round(loaded - started, 3),
        "latency_ms": median_latency_ms(classifier, folder, _TIMED_ROUNDS),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "bytes": sum((folder / name).stat().st_size for name in classifier.manifest.files),
    }


def main(arguments: list[str]) -> int:
    """`check FOLDER`: print the result as JSON; exit code 0 if the bundle can be served, else 1."""
    if len(arguments) != 2 or arguments[0] != "check":
        sys.stderr.write("usage: python -m bento_service.inference.classifier check FOLDER\n")
        return 2
    try:
        result = check(Path(arguments[1]))
    except PipelineError as error:
        names = ("message", "expected", "received")
        result = {"ok": False, "error": {name: getattr(error, name) for name in names}}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
