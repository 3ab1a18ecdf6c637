"""Featurize with 1 % new images, against the first featurize."""

import io
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measure import Row, single_row
from benchmarks.training.random_weights import publish_weights
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, SplitManifest
from pipeline.config.hyperparameters import FeaturesConfig
from pipeline.config.run_config import RunConfig
from pipeline.contract.model_contract import ModelContract
from pipeline.records import Record, to_csv
from pipeline.run_context import RunContext
from pipeline.steps.dataset.ingest import ingest
from pipeline.steps.training.featurize import ShardInputs, featurize

IMAGES = 3000
NEW = IMAGES // 100
RUN = RunContext.now("bench", "bench")
CONFIG = RunConfig(
    contract=ModelContract(name="bench", classes=("A", "B")),
    features=FeaturesConfig(jitters=0, shards=1),
)


def rows() -> list[Row]:
    """Time of a second extraction, with 1 % new images, as a share of the first."""
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(LocalStore(), folder)
        weights = publish_weights(store)
        first = _archive(Path(folder) / "first.zip", range(IMAGES))
        more = _archive(Path(folder) / "more.zip", range(IMAGES, IMAGES + NEW))
        seconds = []
        for archives in ([first], [first, more]):
            split = _split(archives, store)
            start = time.perf_counter()
            featurize(ShardInputs(split, 0, weights), CONFIG, store=store, run=RUN)
            seconds.append(time.perf_counter() - start)
    baseline = f"first extraction of {IMAGES} images, {seconds[0]:.0f} s"
    share = 100 * seconds[1] / seconds[0]
    return [single_row("extraction after 1 % new images", share, "% of the first", baseline)]


def _archive(path: Path, numbers: range) -> str:
    """Write a zip of images of noise, one per number; returns its path."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in numbers:
            noise = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
            out = io.BytesIO()
            Image.fromarray(noise).resize((320, 240)).save(out, "JPEG")
            archive.writestr(f"{'AB'[number % 2]}/{number}.jpg", out.getvalue())
    return str(path)


def _split(archives: list[str], store: ArtifactStore) -> Artifact[SplitManifest]:
    """Ingest archives and publish a split with all images in the training part."""
    snapshot = ingest(archives, CONFIG, store=store, run=RUN)
    records = [r.model_copy(update={"part": "train"}) for r in store.records(snapshot)]
    manifest = SplitManifest(name="bench", **RUN.model_dump())
    return store.publish_texts({"records.csv": to_csv(records, Record)}, manifest)
