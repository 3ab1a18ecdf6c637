"""A built Bento served in a process of its own, asked over HTTP."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from pipeline.adapters.bento import baked_bundle
from pipeline.artifacts import Precision
from pipeline.contract.golden import GOLDEN, GoldenExample, read_golden, tolerance
from pipeline.contract.spec import ModelContract
from pipeline.errors import ArtifactError, UnreachableError
from pipeline.telemetry import TELEMETRY_OFF

_START_SECONDS = 120.0
_STOP_SECONDS = 15.0
_ANSWER_SECONDS = 30.0


@contextlib.contextmanager
def serve_bento(bento: Path) -> Iterator[str]:
    """Serve a Bento from its own folder on a free loopback port; yields its URL.

    Nothing of this installation leaks in: the model is the baked one, and what the service logs
    goes to a folder that disappears.

    Raises:
        UnreachableError: when the service ends or is not ready in time, with its last output.
    """
    port = _free_port()
    command = [sys.executable, "-m", "bento_service", "--host", "127.0.0.1", "--port", str(port)]
    with (
        tempfile.TemporaryDirectory(prefix="bento-") as folder,
        _process(command, bento, Path(folder)) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        _wait(process, url, Path(folder) / "log")
        yield url


def replay_golden_images(
    url: str, bundle: Path, contract: ModelContract, precision: Precision
) -> float:
    """Send a bundle's golden images to a running service.

    Returns:
        The largest difference in probability.

    Raises:
        ArtifactError: when an answer is further off than is tolerated.
    """
    worst = 0.0
    with httpx.Client(base_url=url, timeout=_ANSWER_SECONDS, trust_env=False) as client:
        for example in read_golden(bundle):
            image = (bundle / GOLDEN / example.file).read_bytes()
            answer = client.post("/classify", files={"image": (example.file, image)})
            if answer.status_code != httpx.codes.OK:
                raise ArtifactError(
                    f"golden image {example.file} is not answered",
                    expected="200",
                    received=f"{answer.status_code} {answer.text}",
                )
            off = difference(example, answer.json()["probabilities"], contract, precision)
            worst = max(worst, off)
    return worst


def difference(
    example: GoldenExample,
    probabilities: dict[str, float],
    contract: ModelContract,
    precision: Precision,
) -> float:
    """Largest difference between an answer and what training saw.

    Args:
        example: probabilities in the contract's order.
        probabilities: class to probability, as `/classify` answers.
        contract: says the order.
        precision: of the model that answered; with the contract it says what is tolerated.

    Raises:
        ArtifactError: when it is above the tolerance.
    """
    answered = [probabilities.get(label, float("nan")) for label in contract.classes]
    allowed = tolerance(contract, precision)
    off = [abs(a - b) for a, b in zip(answered, example.probabilities, strict=True)]
    if not all(value <= allowed for value in off):
        raise ArtifactError(
            f"golden image {example.file} ({example.label}) is answered differently",
            expected=f"{example.probabilities} within {allowed}",
            received=str(probabilities),
        )
    return max(off)


@contextlib.contextmanager
def _process(command: list[str], bento: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    bundle = baked_bundle(bento).resolve()
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables = {
        **inherited,
        **TELEMETRY_OFF,
        "API_KEYS_FILE": "",  # in the empty home: none, so that nobody asks for a key
        "BENTOML_HOME": str(folder / "bentoml"),
        "BUNDLE_DIR": str(bundle),
        "LEUKOFLOW_HOME": str(folder),
        "STORE_URI": str(folder / "store"),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=bundle.parent,
            env=variables,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            ready = httpx.get(f"{url}/readyz", timeout=_ANSWER_SECONDS, trust_env=False)
            if ready.status_code == httpx.codes.OK:
                return
        time.sleep(0.3)
    raise UnreachableError(
        "the built Bento does not become ready",
        expected=f"{url}/readyz answers 200 within {_START_SECONDS:.0f} s",
        received=log.read_text(errors="replace")[-2000:],
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the supervisor to end its worker; what is still there afterwards is killed."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        for left in psutil.wait_procs(family, _STOP_SECONDS)[1]:
            left.kill()
    process.wait(_STOP_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
