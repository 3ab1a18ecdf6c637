"""Store a model's retrain decisions and its open retrain request."""

import logging
from datetime import datetime

from monitoring.config import PolicyConfig
from monitoring.drift.result import DriftResult
from monitoring.retraining.policy import RetrainDecision, RetrainRequest, apply_policy
from pipeline.adapters.storage import Document, ObjectStore
from pipeline.artifacts import Artifact, DriftManifest, WindowManifest
from pipeline.digests import sha256_bytes
from pipeline.errors import ConflictError
from pipeline.run_context import RunContext

_LOG = logging.getLogger(__name__)


class RetrainRequestStore:
    """Reads and writes `open.json` and the immutable `decisions/` in `<root>/retrain/<name>/`."""

    def __init__(self, objects: ObjectStore, root: str, name: str) -> None:
        self._objects = objects
        self._name = name
        self._root = f"{root.rstrip('/')}/retrain/{name}"
        self._last = Document[RetrainRequest | None](
            objects, f"{self._root}/open.json", RetrainRequest.model_validate_json, None
        )

    def decide(
        self,
        drift: Artifact[DriftManifest],
        result: DriftResult,
        window: Artifact[WindowManifest],
        config: PolicyConfig,
        run: RunContext,
    ) -> str:
        """Apply the policy, store the decision, open a request if needed; returns the URI.

        A window that has a decision keeps it.
        """
        uri = self._decision_uri(window)
        if self._objects.stat(uri) is not None:
            return uri
        requested, reason = self._open_request(result, window, config, run)
        decision = RetrainDecision(
            name=self._name,
            run_id=run.run_id,
            time=run.created_at,
            window=window.uri,
            drift=drift.uri,
            verdict=result.verdict,
            requested=requested,
            reason=reason,
        )
        body = decision.model_dump_json(indent=2).encode()
        try:
            self._objects.write(uri, body, if_absent=True)
        except ConflictError:
            return uri  # another attempt of the same run wrote it
        _LOG.info("%s: %s", "retrain requested" if requested else "no retrain", reason)
        return uri

    def last(self) -> RetrainRequest | None:
        """The open request, else the last closed request; None before the first."""
        return self._last.read()[0]

    def close(self, window: str, outcome: str, time: datetime) -> bool:
        """Close the request of a window, with the outcome; False if it is not the open request."""

        def closed(last: RetrainRequest | None) -> RetrainRequest | None:
            """The request with its outcome; unchanged if it is not the open one of the window."""
            if last is None or not last.open or last.window != window:
                return last
            text = f"{outcome} at {time.isoformat()}"
            return last.model_copy(update={"sequence": last.sequence + 1, "outcome": text})

        before, after = self._last.update(closed)
        return before != after

    def _open_request(
        self,
        result: DriftResult,
        window: Artifact[WindowManifest],
        config: PolicyConfig,
        run: RunContext,
    ) -> tuple[bool, str]:
        """Apply the policy and open a request if needed; returns (requested, reason)."""
        earlier = self._earlier_verdicts(self._decision_uri(window))

        def opened(last: RetrainRequest | None) -> RetrainRequest | None:
            """A new request, if the policy requests a retrain; else the last one, unchanged."""
            if last is not None and last.window == window.uri:
                return last  # an earlier attempt crashed before it wrote its decision
            requested, reason = apply_policy(result, earlier, last, config, run.created_at)
            if not requested:
                return last
            return RetrainRequest(
                sequence=last.sequence + 1 if last else 1,
                window=window.uri,
                reason=reason,
                time=run.created_at,
                run_id=run.run_id,
            )

        _, last = self._last.update(opened)
        if last is not None and last.window == window.uri:
            return True, last.reason
        return apply_policy(result, earlier, last, config, run.created_at)

    def _decision_uri(self, window: Artifact[WindowManifest]) -> str:
        """URI of the decision on a window; URIs sort by the window's end."""
        key = sha256_bytes(window.uri.encode())[:12]
        return f"{self._root}/decisions/{window.manifest.end:%Y%m%dT%H%M%S}-{key}.json"

    def _earlier_verdicts(self, uri: str) -> list[str]:
        """Verdicts of the last 50 decisions before this one, oldest first."""
        listed = [o.uri for o in self._objects.list(f"{self._root}/decisions/") if o.uri < uri]
        return [read_decision(self._objects, u).verdict for u in sorted(listed)[-50:]]


def read_decision(objects: ObjectStore, uri: str) -> RetrainDecision:
    """Download the retrain decision at a URI."""
    return RetrainDecision.model_validate_json(objects.read(uri))
