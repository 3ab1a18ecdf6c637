"""A served bundle, loaded only if every file and every golden answer is what its manifest says.

`python -m bento_service.inference.classifier check FOLDER` does the same in a process of its
own and prints what it found as JSON: the promotion gate asks that way whether a bundle serves.
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
from pydantic import ValidationError

from bento_service.http.schemas import Reason
from pipeline.artifacts import MANIFEST, ServedManifest, sha256_file
from pipeline.contract import golden
from pipeline.contract.decision import Code, ReviewRule, Verdict, decide, read_review
from pipeline.contract.decoding import Pixels
from pipeline.contract.preprocessing import Prepared, prepare
from pipeline.contract.spec import ModelContract
from pipeline.engine.engine import Engine
from pipeline.engine.occlusion import evidence_picture, occlusion_map
from pipeline.errors import (
    ArtifactError,
    ChangedArtifactError,
    MissingArtifactError,
    PipelineError,
)

logger = logging.getLogger(__name__)

CONTRACT = "contract.json"
METRICS = "metrics.json"
NoveltyScores = Callable[[], bool]
EVIDENCE_SIDE = 384
"""Of an evidence picture, in pixels."""
_TIMED_ROUNDS = 20


@dataclass(frozen=True)
class Prediction:
    """The answer to one image, with what it was based on."""

    prepared: Prepared
    label: str
    probabilities: dict[str, float]
    decision: Verdict
    reasons: tuple[Reason, ...]
    uncertainty: float
    """Largest ratio of a measure to its review limit, 0 to 100; 1 is the limit."""
    embedding: NDArray[np.float32]
    """(embedding_size,)"""


@dataclass(frozen=True)
class Explanation:
    """What an answer rests on: a check aid, no proof."""

    label: str
    picture: Image.Image
    """The crop in grey, (EVIDENCE_SIDE, EVIDENCE_SIDE): orange speaks for the label, blue against
    it."""


def _nobody() -> bool:
    return False


class Classifier:
    """Answers images with one verified bundle; safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        """Load a bundle folder, check it against its manifest and replay its golden images.

        The folder may be removed afterwards.

        Raises:
            ArtifactError: when a file is missing, unlisted or changed, the preprocessing is of
                another version, there is no fitting review rule, the engine cannot run the model,
                or a golden image is answered differently.
        """
        self.manifest = verified(folder)
        self.contract = self.manifest.contract
        self.rule = read_review(folder, self.contract)
        self.metrics = _metrics(folder)
        self._engine = _engine(folder, self.manifest)
        precision = self.manifest.parity.precision
        # The crowd's first: at a start a core imports BentoML meanwhile, and time is taken alone.
        crowd, alone = (
            golden.replay(
                folder, self.contract, partial(self._probabilities, crowd=among), precision
            )
            for among in (True, False)
        )
        self.golden_worst = max(alone.worst, crowd.worst)
        self.golden_ms = alone.milliseconds

    @property
    def tag(self) -> str:
        """`<name>:<12 hex digits>` of the model."""
        return self.manifest.tag

    def classify(self, data: bytes, *, crowd: NoveltyScores = _nobody) -> Prediction:
        """Answer the bytes of a JPEG or PNG.

        Args:
            data: of the image.
            crowd: tells, once the image is decoded, whether others ask; see `Engine.predict`.

        Raises:
            InvalidInputError: when they are no image that can be decoded.
        """
        prepared = prepare(data, self.contract)
        answered = self._engine.predict(prepared.crop[None], concurrent=crowd())
        probabilities, embedding = (out[0] for out in answered)
        named = dict(zip(self.contract.classes, map(float, probabilities), strict=True))
        decided = decide(
            tuple(named.values()), embedding, prepared.cell_found, self.contract, self.rule
        )
        return Prediction(
            prepared=prepared,
            label=decided.label,
            probabilities=named,
            decision=decided.decision,
            reasons=_explained(decided.reasons, named[decided.label], embedding, self.rule),
            uncertainty=decided.uncertainty,
            embedding=embedding,
        )

    def explain(self, data: bytes, *, crowd: NoveltyScores = _nobody) -> Explanation:
        """Which parts of the crop speak for the answer: a prediction for each part.

        Args:
            data: of the image.
            crowd: tells before each prediction whether others ask; see `Engine.predict`.

        Raises:
            InvalidInputError: when the bytes are no image that can be decoded.
        """
        crop = prepare(data, self.contract).crop
        winner = int(self._probabilities(crop, crowd()).argmax())

        def predict(crops: Pixels) -> NDArray[np.float32]:
            return np.stack([self._probabilities(one, crowd()) for one in crops])

        worth = occlusion_map(predict, crop, winner)
        picture = evidence_picture(crop, worth, EVIDENCE_SIDE)
        return Explanation(self.contract.classes[winner], picture)

    def _probabilities(self, crop: Pixels, crowd: bool) -> NDArray[np.float32]:
        probabilities, _ = self._engine.predict(crop[None], concurrent=crowd)
        return np.asarray(probabilities[0], np.float32)


def _explained(
    codes: tuple[Code, ...], confidence: float, embedding: NDArray[np.float32], rule: ReviewRule
) -> tuple[Reason, ...]:
    """The reasons of a decision, in words."""
    farther = rule.distance(embedding) / rule.max_distance
    words: dict[Code, str] = {
        "low_confidence": f"Confidence {confidence:.1%} is below {rule.min_confidence:.1%}.",
        "far_from_training": (
            "It does not look like the images the model was trained on: "
            f"{farther:.1f} times as far from them as is accepted."
        ),
        "no_cell_found": "No stained nucleus was found, so the whole image was used.",
    }
    return tuple(Reason(code=code, message=words[code]) for code in codes)


def verified(folder: Path) -> ServedManifest:
    """The manifest, after every file below the folder was found in it unchanged."""
    path = folder / MANIFEST
    if not path.is_file():
        raise MissingArtifactError(
            "no bundle", expected=f"a folder with {MANIFEST}", received=str(folder)
        )
    try:
        manifest = ServedManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ArtifactError(f"{path} does not fit: {error}", expected="a served bundle") from error
    present = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {MANIFEST}
    if present != manifest.files.keys():
        raise ChangedArtifactError(
            f"{folder} does not hold the files of its manifest",
            expected=", ".join(sorted(manifest.files)),
            received=", ".join(sorted(present)),
        )
    for name, expected in manifest.files.items():
        if (received := sha256_file(folder / name)) != expected:
            raise ChangedArtifactError(
                f"{name} does not match its manifest", expected=expected, received=received
            )
    _check_contract(folder, manifest)
    return manifest


def _check_contract(folder: Path, manifest: ServedManifest) -> None:
    manifest.contract.require_current()
    if CONTRACT not in manifest.files:
        raise MissingArtifactError("the bundle has no contract", expected=CONTRACT)
    if ModelContract.model_validate_json((folder / CONTRACT).read_text()) != manifest.contract:
        raise ChangedArtifactError(f"the manifest's contract is not the one in {CONTRACT}")
    if f"{golden.GOLDEN}/golden.json" not in manifest.files or not golden.read_golden(folder):
        raise ArtifactError("the bundle has no golden images", expected="at least one")


def _metrics(folder: Path) -> dict[str, Any]:
    path = folder / METRICS
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _engine(folder: Path, manifest: ServedManifest) -> Engine:
    """The engine, warmed up, after its outputs were found to have the contract's shapes."""
    contract = manifest.contract
    blank = np.zeros((1, contract.input_size, contract.input_size, 3), np.uint8)
    try:
        engine = Engine.of(folder, manifest.parity)
        probabilities, embedding = engine.predict(blank)
    except RuntimeError as error:  # all that OpenVINO ever raises
        raise ArtifactError(f"the engine cannot run the model: {error}") from error
    received = (probabilities.shape, embedding.shape)
    expected = ((1, len(contract.classes)), (1, contract.embedding_size))
    if received != expected:
        raise ArtifactError(
            "the model's outputs do not fit its contract",
            expected=str(expected),
            received=str(received),
        )
    if not (np.isfinite(probabilities).all() and np.isfinite(embedding).all()):
        raise ArtifactError("the model answers with something else than numbers")
    return engine


def answer_ms(classifier: Classifier, folder: Path, rounds: int) -> float:
    """Median milliseconds of an answer to a golden image, one at a time.

    Half of the rounds may be disturbed by other work without a change of the result.
    """
    images = [
        (folder / golden.GOLDEN / example.file).read_bytes()
        for example in golden.read_golden(folder)
    ]
    times = []
    for turn in range(rounds):
        before = time.perf_counter()
        classifier.classify(images[turn % len(images)])
        times.append(time.perf_counter() - before)
    return round(statistics.median(times) * 1000, 2)


def check(folder: Path) -> dict[str, Any]:
    """Load a bundle and measure it: milliseconds per image, seconds to load, peak megabytes."""
    started = time.perf_counter()
    classifier = Classifier(folder)
    loaded = time.perf_counter()
    return {
        "ok": True,
        "tag": classifier.tag,
        "golden_worst": classifier.golden_worst,
        "load_seconds": round(loaded - started, 3),
        "latency_ms": answer_ms(classifier, folder, _TIMED_ROUNDS),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "bytes": sum((folder / name).stat().st_size for name in classifier.manifest.files),
    }


def main(arguments: list[str]) -> int:
    """`check FOLDER`: print the findings as JSON; 0 when the bundle serves, else 1."""
    if len(arguments) != 2 or arguments[0] != "check":
        sys.stderr.write("usage: python -m bento_service.inference.classifier check FOLDER\n")
        return 2
    try:
        findings = check(Path(arguments[1]))
    except PipelineError as error:
        findings = {
            "ok": False,
            "error": {
                "message": error.message,
                "expected": error.expected,
                "received": error.received,
            },
        }
    sys.stdout.write(json.dumps(findings) + "\n")
    return 0 if findings["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
