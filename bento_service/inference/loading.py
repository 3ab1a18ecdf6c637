"""Loading the bundle that a pointer names, aside and in limited time, and proving it."""

import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path

from bento_service.inference.classifier import Classifier
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer
from pipeline.artifacts import Artifact, ServedManifest
from pipeline.errors import ArtifactError, SlowModelError

PATIENCE_SECONDS = 120.0
"""For fetching, compiling and proving a bundle."""


class Loader:
    """Loads bundles one at a time, each in a thread that a hanging one can keep."""

    def __init__(
        self,
        artifacts: ArtifactStore,
        name: str,
        *,
        max_answer_ms: float,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Load models called `name` that answer an image within `max_answer_ms` in the median."""
        self._artifacts = artifacts
        self._name = name
        self._max_answer_ms = max_answer_ms
        self._patience = patience
        self._begun: tuple[Pointer, Future[Classifier]] | None = None

    def load(self, pointer: Pointer) -> Classifier:
        """Fetch and prove a bundle.

        Asked again for a bundle whose loading hangs, it looks at the same thread and does not wait
        again, so that only a move of the pointer can start another.

        Raises:
            ArtifactError: when it is not exactly what it should be, or too slow.
            UnreachableError: when the store does not answer.
        """
        new = self._begun is None or self._begun[0] != pointer
        if self._begun is None or new:
            name = f"load-{pointer.sequence}"
            self._begun = (pointer, in_thread(partial(self._prove, pointer), name))
        loading = self._begun[1]
        wait([loading], self._patience if new else 0)
        if not loading.done():
            raise SlowModelError(
                "the bundle is still loading", expected=f"within {self._patience:g} s"
            )
        self._begun = None
        return loading.result()

    def _prove(self, pointer: Pointer) -> Classifier:
        """The bundle's files are gone afterwards; the engine keeps what it needs mapped."""
        artifact = self._artifacts.open(pointer.served, ServedManifest)
        self._require_expected(artifact, pointer)
        self._artifacts.require_closed(artifact)
        with tempfile.TemporaryDirectory(prefix="leukoflow-model-") as folder:
            classifier = Classifier(self._artifacts.fetch(artifact, Path(folder)))
            require_fast(classifier.golden_ms, self._max_answer_ms)
            return classifier

    def _require_expected(self, artifact: Artifact[ServedManifest], pointer: Pointer) -> None:
        said = (artifact.manifest.tag, artifact.manifest.contract.name)
        if said != (pointer.tag, self._name):
            raise ArtifactError(
                "the pointer leads to another model",
                expected=f"{pointer.tag} of {self._name}",
                received=f"{said[0]} of {said[1]}",
            )


def in_thread(load: Callable[[], Classifier], name: str) -> Future[Classifier]:
    """Load in a thread of that name, which ends with the process even if it hangs."""
    loading: Future[Classifier] = Future()

    def work() -> None:
        try:
            loading.set_result(load())
        except Exception as error:  # noqa: BLE001  # whoever asks for the result gets it
            loading.set_exception(error)

    # An executor would wait for a hanging load when the service ends.
    threading.Thread(target=work, name=name, daemon=True).start()
    return loading


def require_fast(answer: float, limit: float) -> None:
    """Refuse a model whose median answer takes longer than is allowed, both in milliseconds.

    Raises:
        SlowModelError: when it does.
    """
    if answer > limit:
        raise SlowModelError(
            "the model answers too slowly",
            expected=f"at most {limit:g} ms per image",
            received=f"{answer:.0f} ms",
        )
