"""Fetches and verifies the model that a pointer names, with a timeout and a limit on latency."""

import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path

from bento_service.inference.classifier import Classifier
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer
from pipeline.artifacts import Artifact, ServedManifest
from pipeline.errors import ArtifactError, SlowModelError

LOAD_TIMEOUT_S = 120.0
"""For fetching, compiling and verifying a bundle."""


class Loader:
    """Loads bundles, each in its own thread, so that one that hangs does not block the caller."""

    def __init__(
        self,
        artifacts: ArtifactStore,
        name: str,
        *,
        max_answer_ms: float,
        timeout_s: float = LOAD_TIMEOUT_S,
    ) -> None:
        """Accept models called `name` whose median latency is at most `max_answer_ms`."""
        self._artifacts = artifacts
        self._name = name
        self._max_answer_ms = max_answer_ms
        self._timeout_s = timeout_s
        self._running: tuple[Pointer, Future[Classifier]] | None = None

    def load(self, pointer: Pointer) -> Classifier:
        """Fetch and verify a bundle in a thread; SlowModelError if it is not loaded in time.

        The first call for a pointer waits up to the timeout. A repeated call returns at once or
        raises: it only checks the same thread.

        Raises:
            SlowModelError: while it still loads.
            ArtifactError: when the bundle fails verification or is too slow.
            UnreachableError: when the store does not respond.
        """
        new = self._running is None or self._running[0] != pointer
        if self._running is None or new:
            name = f"load-{pointer.sequence}"
            self._running = (pointer, load_in_thread(partial(self._load_verified, pointer), name))
        loading = self._running[1]
        wait([loading], self._timeout_s if new else 0)
        if not loading.done():
            raise SlowModelError(
                "the bundle is still loading", expected=f"within {self._timeout_s:g} s"
            )
        self._running = None
        return loading.result()

    def _load_verified(self, pointer: Pointer) -> Classifier:
        """Fetch a bundle, check its files, golden images and latency, and return its classifier.

        The temporary copy is deleted afterwards; the engine holds the model's file open.
        """
        artifact = self._artifacts.open(pointer.served, ServedManifest)
        self._require_named(artifact, pointer)
        self._artifacts.require_no_extra_files(artifact)
        with tempfile.TemporaryDirectory(prefix="leukoflow-model-") as folder:
            classifier = Classifier(self._artifacts.fetch(artifact, Path(folder)))
            require_fast(classifier.golden_ms, self._max_answer_ms)
            return classifier

    def _require_named(self, artifact: Artifact[ServedManifest], pointer: Pointer) -> None:
        """Raise ArtifactError if the bundle has another tag or model name than the pointer."""
        received = (artifact.manifest.tag, artifact.manifest.contract.name)
        if received != (pointer.tag, self._name):
            raise ArtifactError(
                "the pointer leads to another model",
                expected=f"{pointer.tag} of {self._name}",
                received=f"{received[0]} of {received[1]}",
            )


def load_in_thread(load: Callable[[], Classifier], name: str) -> Future[Classifier]:
    """Start a daemon thread that calls `load`; returns a future of its result or exception."""
    loading: Future[Classifier] = Future()

    def load_into_future() -> None:
        try:
            loading.set_result(load())
        except Exception as error:  # noqa: BLE001  # raised to the caller of `result`
            loading.set_exception(error)

    # An executor would wait for a hanging load when the service shuts down.
    threading.Thread(target=load_into_future, name=name, daemon=True).start()
    return loading


def require_fast(latency_ms: float, max_ms: float) -> None:
    """Raise SlowModelError if a model's median latency exceeds the limit."""
    if latency_ms > max_ms:
        raise SlowModelError(
            "the model is too slow",
            expected=f"at most {max_ms:g} ms per image",
            received=f"{latency_ms:.0f} ms",
        )
