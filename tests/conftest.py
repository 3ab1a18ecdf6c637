"""A small real model, a service with it, and other fixtures of all tests."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

# Before NumPy's import: on small matrices, BLAS threads take up to 20 times the CPU time of one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer, PointerStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, Parity, ServedManifest
from pipeline.contract import golden_images
from pipeline.contract.decision import ReviewRule, write_review
from pipeline.contract.decoding import Pixels
from pipeline.contract.model_contract import ModelContract
from pipeline.contract.preprocessing import prepare
from pipeline.embedded.ports import free_block
from pipeline.telemetry import TELEMETRY_OFF, configure_process

configure_process()

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL")
_PLASMA = ((236, 140, 120), (120, 150, 235), (180, 185, 205), (240, 205, 225))


def draw_cell(kind: int, *, width: int = 320, height: int = 240, shift: int = 0) -> bytes:
    """A JPEG of one round cell; the colour of its cytoplasm is that of the class `kind`."""
    image = Image.new("RGB", (width, height), (240, 232, 226))
    brush = ImageDraw.Draw(image)
    x, y = width // 2 + shift, height // 2
    brush.ellipse((x - 55, y - 55, x + 55, y + 55), fill=_PLASMA[kind])
    brush.ellipse((x - 26, y - 30, x + 30, y + 24), fill=(96, 40, 140))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


@dataclass(frozen=True)
class Stage:
    """A local store, with methods that publish models and move the pointer."""

    root: Path
    contract: ModelContract

    @property
    def artifacts(self) -> ArtifactStore:
        """The artefact store at the root."""
        return ArtifactStore(LocalStore(), str(self.root))

    @property
    def pointers(self) -> PointerStore:
        """The pointer and ledger of the contract's name."""
        return PointerStore(LocalStore(), str(self.root), self.contract.name)

    def publish(
        self, folder: Path, seed: int = 0, change: Callable[[Path], None] = lambda _: None
    ) -> Artifact[ServedManifest]:
        """Write a bundle to `folder`, apply `change`, publish it; each seed gives another model."""
        write_bundle(folder, self.contract, seed)
        change(folder)
        now = datetime.now(UTC)
        return self.artifacts.publish(
            folder,
            ServedManifest(
                name=self.contract.name,
                run_id="test",
                code_version="test",
                created_at=now,
                inputs={"bundle": f"test/{seed}"},
                tag=f"{self.contract.name}:{seed:012x}",
                contract=self.contract,
                parity=Parity(
                    precision="f32", images=4, top1_agreement=1.0, max_probability_difference=0.0
                ),
            ),
        )

    def point_to(self, served: Artifact[ServedManifest]) -> Pointer:
        """Move the pointer to a bundle, without a gate."""
        target = Pointer(
            sequence=0,
            name=self.contract.name,
            tag=served.manifest.tag,
            served=served.uri,
            evaluation="",
            verdict="",
            author="test",
            reason="a test",
            time=datetime.now(UTC),
        )
        return self.pointers.move(target, self.pointers.read())


def write_bundle(folder: Path, contract: ModelContract, seed: int) -> None:
    """Write a model that classifies by mean colour, and golden images with its predictions."""
    from pipeline.engine.serving_engine import Engine

    folder.mkdir(parents=True, exist_ok=True)
    _write_model(folder, contract, seed)
    engine = Engine(folder, "f32")

    def predict(crop: Pixels) -> tuple[float, ...]:
        return tuple(float(p) for p in engine.predict(crop[None])[0][0])

    images = [draw_cell(kind) for kind in range(len(contract.classes))]
    examples = [
        golden_images.GoldenExample(
            file=f"{kind}.jpeg",
            label=contract.classes[kind],
            probabilities=predict(prepare(image, contract).crop),
        )
        for kind, image in enumerate(images)
    ]
    golden_images.write_golden(folder, examples, images)
    centre = (0.0,) * contract.embedding_size
    rule = ReviewRule(min_confidence=0.8, max_distance=100.0, centre=centre)
    write_review(folder, rule)
    (folder / "contract.json").write_text(contract.model_dump_json(indent=2))
    (folder / "metrics.json").write_text('{"balanced_accuracy": 0.5}\n')


def _write_model(folder: Path, contract: ModelContract, seed: int) -> None:
    import openvino as ov
    from openvino import opset13 as ops

    rng = np.random.default_rng(seed)
    size, classes = contract.input_size, len(contract.classes)
    spread = rng.normal(size=(3, contract.embedding_size)).astype(np.float32)
    centres = np.array(_PLASMA, np.float32)[:classes] / 255
    # Distance to the colour of each class: -|x - c|^2 = 2xc - |c|^2 - |x|^2, the last cancels.
    weights = (2 * centres.T * (60 + seed)).astype(np.float32)
    bias = (-(centres**2).sum(axis=1) * (60 + seed)).astype(np.float32)
    image = ops.parameter([-1, size, size, 3], np.uint8, name="image")
    scaled = ops.divide(ops.convert(image, np.float32), np.float32(255))
    corner = ops.slice(scaled, [0, 24, 24, 0], [2**31 - 1, 40, 104, 3], [1, 1, 1, 1])
    colour = ops.reduce_mean(corner, np.array([1, 2]), False)
    logits = ops.add(ops.matmul(colour, ops.constant(weights), False, False), ops.constant(bias))
    probabilities = ops.softmax(logits, 1)
    embedding = ops.matmul(colour, ops.constant(spread), False, False)
    model = ov.Model([probabilities, embedding], [image], "mean_colour")
    model.output(0).get_tensor().set_names({"probabilities"})
    model.output(1).get_tensor().set_names({"embedding"})
    ov.save_model(model, folder / "model.xml", compress_to_fp16=False)


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Function that runs a command of `leukoflow` in this process and returns the exit code."""
    from pipeline.cli import main

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["leukoflow", *words])
        with pytest.raises(SystemExit) as exit_:
            main()
        return exit_.value.code if isinstance(exit_.value.code, int) else 0

    return run


@pytest.fixture(scope="session")
def cell_image() -> Callable[..., bytes]:
    """The function `draw_cell`, which returns the JPEG of a drawn cell of a class index."""
    return draw_cell


def _make_stage(root: Path, name: str = "blood_cells") -> Stage:
    contract = ModelContract(name=name, classes=CLASSES, embedding_size=8)
    return Stage(root, contract)


@pytest.fixture(scope="session")
def make_stage() -> Callable[..., Stage]:
    """Function that returns an empty local store in a folder; its models have four classes."""
    return _make_stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage for one test."""
    return _make_stage(tmp_path / "store")


@contextmanager
def _serving(
    folder: Path, store: Path, command: Sequence[str] = ("bento_service",), **variables: str
) -> Iterator[str]:
    """URL of a service process on a free port, with the Procfile's command or another module."""
    port = free_block(1)
    environment = os.environ | {
        **TELEMETRY_OFF,
        "BENTOML_HOME": str(folder / "bentoml"),
        "LEUKOFLOW_HOME": str(folder / "home"),
        "STORE_URI": str(store),
        "MODEL_NAME": "blood_cells",
        "POINTER_POLL_SECONDS": "0.3",
        "LOG_SEGMENT_SECONDS": "1",
        "DRAIN_SECONDS": "0",
        "TRAIN_API_KEY": "sesame",
        "AIRFLOW_URL": "http://127.0.0.1:9",
        **variables,
    }
    line = [sys.executable, "-m", *command, "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(line, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_alive(process, f"{url}/livez", folder / "service.log")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_alive(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(1200):
        assert process.poll() is None, log.read_text()
        try:
            httpx.get(url, timeout=5)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(log.read_text())


@pytest.fixture(scope="session")
def serve() -> Callable[..., AbstractContextManager[str]]:
    """Context manager that runs the BentoML service in a process and yields its URL."""
    return _serving


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with real images, `TEST_DATA`; without it, the test is skipped."""
    folder = Path(os.environ.get("TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real images: TEST_DATA ({folder}) is not a folder")
    return folder


def _skipped(config: pytest.Config) -> list[str]:
    """Names of the skipped tests if NO_SKIP=true; otherwise empty."""
    if os.environ.get("NO_SKIP") != "true":
        return []
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    return [report.nodeid for report in terminal.stats.get("skipped", [])] if terminal else []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session if NO_SKIP=true and a test was skipped."""
    if _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the skipped tests if NO_SKIP=true."""
    if names := _skipped(terminalreporter.config):
        terminalreporter.section("NO_SKIP=true allows no skipped test", red=True)
        terminalreporter.line("\n".join(names))
