"""Monitoring with SeaweedFS and Evidently; its pages in Chromium."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvicorn

from monitoring import entrypoints
from monitoring.reports.server import create_site
from monitoring.retraining.retrain_requests import RetrainRequestStore
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer, PointerStore
from pipeline.adapters.storage import UriStore
from pipeline.artifacts import DriftManifest, EvaluationManifest
from pipeline.settings import Settings
from tests.unit.monitoring.fake_predictions import TAG, FakePredictions

pytestmark = pytest.mark.integration
CONFIG = "configs/monitoring.yaml"
NAME = "watched"
CHROMIUM = shutil.which("chromium")


class FakeLog:
    """The prediction log of a promoted model in S3."""

    def __init__(self, store: ArtifactStore, folder: Path) -> None:
        self.store = store
        self.predictions = FakePredictions(seed=3)
        now = datetime.now(UTC)
        lines = [item.model_dump_json() + "\n" for item in self.predictions.draw(40, 4)]
        (folder / "reference.jsonl").write_text("".join(lines))
        manifest = EvaluationManifest(
            name=NAME, run_id="r", code_version="c", created_at=now, tag=TAG
        )
        evaluation = store.publish(folder, manifest)
        pointer = Pointer(
            sequence=0, name=NAME, tag=TAG, served="s", evaluation=evaluation.uri, verdict="v",
            author="a", reason="r", time=now - timedelta(hours=1),
        )  # fmt: skip
        PointerStore(store.objects, store.root, NAME).move(pointer, None)

    def upload(self, segment: str, shift: float) -> None:
        """Upload a segment with fifty predictions."""
        now = datetime.now(UTC)
        images = self.predictions.draw(50, 1, shift=shift)
        records = [item.record.model_copy(update={"time": now}) for item in images]
        body = "".join(record.model_dump_json() + "\n" for record in records)
        uri = f"{self.store.root}/logs/{NAME}/{now:%Y-%m-%d}/{segment}.jsonl"
        self.store.objects.write(uri, body.encode())

    def monitor(self, run_id: str) -> tuple[str, str, str]:
        """Run the entry points in the DAG's order: drift, decision and page."""
        window = entrypoints.collect(CONFIG, run_id, NAME, datetime.now(UTC).isoformat())
        drift = entrypoints.detect(CONFIG, run_id, window)
        decision = entrypoints.decide(CONFIG, run_id, NAME, drift)
        return drift, decision, entrypoints.publish(CONFIG, run_id, NAME, drift, decision)


@dataclass(frozen=True)
class Monitored:
    """The pages of a quiet and of a shifted window, and the decision on the second."""

    store: ArtifactStore
    quiet: str
    alarmed: str
    decision: str


@pytest.fixture(scope="module")
def monitored(seaweed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """Two monitored windows."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEUKOFLOW_HOME", str(home))
        patch.setenv("STORE_URI", seaweed.store_uri)
        patch.setenv("AWS_ENDPOINT_URL_S3", seaweed.aws_endpoint_url_s3)
        patch.setenv("AWS_ACCESS_KEY_ID", seaweed.aws_access_key_id)
        patch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.aws_secret_access_key.get_secret_value())
        store = ArtifactStore(UriStore(seaweed), seaweed.store_uri)
        log = FakeLog(store, tmp_path_factory.mktemp("evaluation"))
        log.upload("w1-1", shift=0)
        _, decision, quiet = log.monitor("first")
        assert entrypoints.training_run_of(decision) is None
        log.upload("w1-2", shift=25)
        drift, decision, page = log.monitor("second")
        assert store.open(drift, DriftManifest).manifest.alarm
        yield Monitored(store, quiet, page, decision)


def test_a_shifted_window_requests_one_retrain(monitored: Monitored) -> None:
    """Quiet, then alarm, then one open request that its own training run closes once."""
    requests = RetrainRequestStore(monitored.store.objects, monitored.store.root, NAME)
    retraining = entrypoints.training_run_of(monitored.decision)
    assert retraining == entrypoints.training_run_of(monitored.decision)
    assert retraining is not None
    run_id, form = retraining
    assert run_id.startswith(f"retrain__{NAME}__")
    assert form["config"] == f"configs/{NAME}.yaml"
    assert "red" in form["reason"]
    last = requests.last()
    assert last is not None
    assert last.open
    assert entrypoints.close_request(run_id, form["request"], "promoted")
    assert not entrypoints.close_request(run_id, form["request"], "promoted")


def test_reports_are_complete(monitored: Monitored) -> None:
    """Result, page and Evidently's HTML and JSON are in one folder."""
    store, page = monitored.store, monitored.alarmed
    names = {item.uri.removeprefix(f"{page}/") for item in store.objects.list(f"{page}/")}
    assert names >= {"index.html", "evidently.html", "report.json", "drift.json", "entry.json"}
    assert b"<h1>Drift alarm</h1>" in store.objects.read(f"{page}/index.html")
    assert b"<h1>No drift</h1>" in store.objects.read(f"{monitored.quiet}/index.html")


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_evidently_renders_without_a_network(monitored: Monitored, tmp_path: Path) -> None:
    """Chromium renders index and Evidently page under the site's content security policy."""
    store, page = monitored.store, monitored.alarmed
    path = page.removeprefix(f"{store.root}/reports/")
    with _site(store) as port:
        base = f"http://127.0.0.1:{port}"
        assert "retrain requested" in _dom(f"{base}/", tmp_path)
        evidently = _dom(f"{base}/{path}/evidently.html", tmp_path)
    assert "Dataset Drift is detected" in evidently
    assert "cell_red" in evidently


@contextmanager
def _site(store: ArtifactStore) -> Iterator[int]:
    """The report site in a thread, on a free loopback port."""
    app = create_site(store.objects, store.root)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(timeout=10)


def _dom(url: str, folder: Path) -> str:
    """HTML of a page after its scripts have run."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom",
        "--virtual-time-budget=10000", f"--user-data-dir={folder / 'chromium'}", url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout
