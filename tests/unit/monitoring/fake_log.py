"""A prediction log in a local store, for tests of windows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from monitoring.config import DriftTestConfig, MonitoringConfig
from monitoring.drift.detect import read_window
from monitoring.windows.collect import WindowRequest, collect
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer, PointerStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, WindowManifest
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.run_context import RunContext
from tests.unit.monitoring.fake_predictions import START, TAG, FakePredictions

CONFIG = MonitoringConfig(test=DriftTestConfig(min_sample=10))
HOUR = timedelta(hours=1)


class FakeLog:
    """A local store with a promoted model and a prediction log; each `collect` is a new run."""

    def __init__(
        self, root: Path, config: MonitoringConfig = CONFIG, promoted: datetime = START - HOUR
    ) -> None:
        self.store = ArtifactStore(LocalStore(), str(root))
        self._config, self._promoted = config, promoted
        self._runs = 0
        self._predictions = FakePredictions(seed=2)
        self._pointers = PointerStore(self.store.objects, self.store.root, "demo")
        self.promote(TAG)

    def promote(self, tag: str) -> None:
        """Move the pointer to a model; the time of the promotion stays."""
        pointer = Pointer(
            sequence=0, name="demo", tag=tag, served="s", evaluation=f"evaluation/{tag}",
            verdict="v", author="a", reason="r", time=self._promoted,
        )  # fmt: skip
        self._pointers.move(pointer, self._pointers.read())

    def records(self, count: int, time: datetime, tag: str = TAG) -> list[PredictionRecord]:
        """Predictions with the same time."""
        return [
            item.record.model_copy(update={"time": time, "tag": tag})
            for item in self._predictions.draw(count, 1)
        ]

    def segment(self, name: str, records: Sequence[PredictionRecord], tail: bytes = b"") -> None:
        """Upload a closed segment that ends in `tail`."""
        day = records[0].time.date() if records else START.date()
        uri = f"{self.store.root}/logs/demo/{day}/{name}.jsonl"
        body = "".join(record.model_dump_json() + "\n" for record in records)
        self.store.objects.write(uri, body.encode() + tail)

    def collect(
        self,
        now: datetime,
        since: datetime | None = None,
        until: datetime | None = None,
        run_id: str = "",
    ) -> Artifact[WindowManifest]:
        """Run the step at a time, with a new run id unless one is passed."""
        self._runs += 1
        run = RunContext(run_id=run_id or f"run{self._runs}", code_version="c", created_at=now)
        request = WindowRequest(name="demo", since=since, until=until or now)
        return collect(request, self._config, store=self.store, run=run)

    def count(self, window: Artifact[WindowManifest]) -> int:
        """Number of predictions in a window."""
        return len(read_window(self.store, window))
