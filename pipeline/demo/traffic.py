"""Traffic for the service: held-out images, and the same cells through another camera."""

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
from pipeline.errors import UnreachableError
from pipeline.records import Record
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import OTHER

_OTHER_LAB_SEED = 77


@dataclass(frozen=True)
class Sent:
    """A burst of requests: when, and what came back."""

    since: datetime
    until: datetime
    labels: list[str]
    answers: list[dict[str, Any]]

    @property
    def accuracy(self) -> float:
        """Share of answers that name the true class."""
        right = [a["label"] == b for a, b in zip(self.answers, self.labels, strict=True)]
        return float(np.mean(right))


def wait_for_model(url: str, tag: str, key: str = "", *, timeout: float = 60) -> None:
    """Return once the service answers with this model.

    Raises:
        UnreachableError: when it does not in time.
    """
    deadline = time.monotonic() + timeout
    while (model := served_model(url, key)) is None or model["tag"] != tag:
        if time.monotonic() > deadline:
            raise UnreachableError(
                f"the service at {url} does not serve the promoted model",
                expected=tag,
                received=str(model["tag"]) if model else "no model",
            )
        time.sleep(0.5)


def send(url: str, images: Iterable[tuple[str, bytes]], key: str = "") -> Sent:
    """Ask about labelled images one after the other."""
    since = datetime.now(UTC)
    labels, answers = [], []
    for label, data in images:
        answers.append(classify(url, "image", data, key))
        labels.append(label)
    return Sent(since, datetime.now(UTC), labels, answers)


def stored(store: ArtifactStore, records: Sequence[Record]) -> Iterator[tuple[str, bytes]]:
    """Records' labels and bytes."""
    return ((record.label, data) for record, data in read_images(store, records))


def shifted(
    store: ArtifactStore, records: Sequence[Record], drawn: bool
) -> Iterator[tuple[str, bytes]]:
    """As many images of another laboratory: drawn anew, or these through another camera."""
    if drawn:
        return draw_images(_OTHER_LAB_SEED, len(records), OTHER)
    return ((label, other_camera(data)) for label, data in stored(store, records))


def shifted_title(images: int, drawn: bool) -> str:
    """What `shifted` gives."""
    if drawn:
        return f"{images} cells drawn as another laboratory's"
    return f"the same {images} images through another camera"


def other_camera(data: bytes) -> bytes:
    """The same photograph, softer and in a warmer light, as a JPEG."""
    soft = Image.open(io.BytesIO(data)).convert("RGB").filter(ImageFilter.GaussianBlur(1.2))
    light = np.array([1.08, 0.94, 0.78], np.float32)
    pixels = np.clip(np.asarray(soft, np.float32) * light, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=88)
    return out.getvalue()


def wait_for_log(store: ArtifactStore, name: str, sent: Sent, *, timeout: float = 90) -> None:
    """Return once every answer of a burst has its line in S3.

    Raises:
        UnreachableError: when lines are missing after `timeout` seconds.
    """
    wanted = {answer["request_id"] for answer in sent.answers}
    read: set[str] = set()
    deadline = time.monotonic() + timeout
    while True:
        for item in store.objects.list(f"{store.root}/logs/{name}/"):
            if item.uri not in read and item.modified >= sent.since.replace(microsecond=0):
                read.add(item.uri)
                text = store.objects.read(item.uri).decode()
                wanted = {request for request in wanted if f'"{request}"' not in text}
        if not wanted:
            return
        if time.monotonic() > deadline:
            raise UnreachableError(f"{len(wanted)} predictions have not reached the log in S3")
        time.sleep(1)
