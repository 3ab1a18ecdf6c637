"""Requests to the service: held-out images, and images of a simulated other laboratory."""

import io
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.adapters.service_client import classify, served_model
from pipeline.contract.decoding import decode, served_copy
from pipeline.errors import UnreachableError
from pipeline.records import Record
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import OUT_OF_DOMAIN

_OTHER_LAB_SEED = 77


@dataclass(frozen=True)
class Traffic:
    """A series of requests: time range, true labels and the service's predictions."""

    since: datetime
    until: datetime
    labels: list[str]
    predictions: list[dict[str, Any]]

    @property
    def accuracy(self) -> float:
        """Share of predictions with the true class."""
        pairs = zip(self.predictions, self.labels, strict=True)
        return float(np.mean([prediction["label"] == label for prediction, label in pairs]))


def wait_for_model(url: str, tag: str, key: str = "", *, timeout: float = 60) -> None:
    """Poll until the service serves `tag`; UnreachableError if it does not, or does not respond."""
    deadline = time.monotonic() + timeout
    while (model := served_model(url, key)) is None or model["tag"] != tag:
        if time.monotonic() > deadline:
            raise UnreachableError(
                f"the service at {url} does not serve the promoted model",
                expected=tag,
                received=str(model["tag"]) if model else "no model",
            )
        time.sleep(0.5)


def send(url: str, images: Iterable[tuple[str, bytes]], key: str = "") -> Traffic:
    """Classify labelled images through the service, one after the other; raises as `classify`."""
    since = datetime.now(UTC)
    labels, predictions = [], []
    for label, data in images:
        predictions.append(classify(url, "image", data, key))
        labels.append(label)
    return Traffic(since, datetime.now(UTC), labels, predictions)


def labelled_images(store: ArtifactStore, records: Sequence[Record]) -> Iterator[tuple[str, bytes]]:
    """Yield label and bytes of each record, a TIFF as PNG; sorted by archive and hash."""
    images = read_images(store, records)
    return ((record.label, served_copy(data)) for record, data in images)


def shifted_images(
    store: ArtifactStore, records: Sequence[Record], drawn: bool
) -> Iterator[tuple[str, bytes]]:
    """Yield label and JPEG of another laboratory's images: newly drawn, or the records' altered."""
    if drawn:
        return draw_images(_OTHER_LAB_SEED, len(records), OUT_OF_DOMAIN)
    return ((label, other_camera(data)) for label, data in labelled_images(store, records))


def shifted_title(images: int, drawn: bool) -> str:
    """Description of the images of `shifted_images`, for the closing table."""
    if drawn:
        return f"{images} drawn cells of another laboratory"
    return f"the same {images} images, blurred and in a warmer light"


def other_camera(data: bytes) -> bytes:
    """JPEG of an image, blurred and in a warmer light: simulates another camera."""
    soft = Image.fromarray(decode(data)).filter(ImageFilter.GaussianBlur(1.2))
    light = np.array([1.08, 0.94, 0.78], np.float32)
    pixels = np.clip(np.asarray(soft, np.float32) * light, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=88)
    return out.getvalue()


def wait_for_log(store: ArtifactStore, name: str, traffic: Traffic, *, timeout: float = 90) -> None:
    """Poll the log in S3 until it has every request of `traffic`; else UnreachableError."""
    missing = {prediction["request_id"] for prediction in traffic.predictions}
    read: set[str] = set()
    deadline = time.monotonic() + timeout
    while True:
        for item in store.objects.list(f"{store.root}/logs/{name}/"):
            if item.uri not in read and item.modified >= traffic.since.replace(microsecond=0):
                read.add(item.uri)
                text = store.objects.read(item.uri).decode()
                missing = {request for request in missing if f'"{request}"' not in text}
        if not missing:
            return
        if time.monotonic() > deadline:
            raise UnreachableError(
                "predictions are missing in the log in S3",
                expected=f"all {len(traffic.predictions)} within {timeout:.0f} s",
                received=f"{len(traffic.predictions) - len(missing)}",
            )
        time.sleep(1)
