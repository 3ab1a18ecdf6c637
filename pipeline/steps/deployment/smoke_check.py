"""Smoke check of a Bento: serve it in a process and replay its golden images over HTTP."""

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
from pipeline.contract.golden_images import GOLDEN, GoldenExample, read_golden, tolerance
from pipeline.contract.model_contract import ModelContract
from pipeline.errors import ArtifactError, UnreachableError
from pipeline.http.client import open_client
from pipeline.telemetry import TELEMETRY_OFF

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 15.0
_REQUEST_TIMEOUT_S = 30.0


@contextlib.contextmanager
def serve_bento(bento: Path) -> Iterator[str]:
    """Serve a Bento on a free loopback port during the block; yields the service's URL.

    The service uses the Bento's code and model, and a temporary home for its logs and store.

    Raises:
        UnreachableError: when the service exits or is not ready in time; it has the last output.
    """
    port = _free_port()
    command = [sys.executable, "-m", "bento_service", "--host", "127.0.0.1", "--port", str(port)]
    with (
        tempfile.TemporaryDirectory(prefix="bento-") as folder,
        _process(command, bento, Path(folder)) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(process, url, Path(folder) / "log")
        yield url


def replay_golden_images(
    url: str, bundle: Path, contract: ModelContract, precision: Precision
) -> float:
    """Classify a bundle's golden images over HTTP; returns the largest difference.

    Raises:
        ArtifactError: when a response is an error, or a difference exceeds the tolerance.
    """
    largest = 0.0
    with open_client(url, timeout=_REQUEST_TIMEOUT_S) as client:
        for example in read_golden(bundle):
            image = (bundle / GOLDEN / example.file).read_bytes()
            response = client.post("/classify", files={"image": (example.file, image)})
            if response.status_code != httpx.codes.OK:
                raise ArtifactError(
                    f"{url}/classify fails on golden image {example.file}",
                    expected="200",
                    received=f"{response.status_code} {response.text}",
                )
            probabilities = response.json()["probabilities"]
            largest = max(largest, difference(example, probabilities, contract, precision))
    return largest


def difference(
    example: GoldenExample,
    probabilities: dict[str, float],
    contract: ModelContract,
    precision: Precision,
) -> float:
    """Largest difference to the golden probabilities; ArtifactError above the tolerance, or if NaN.

    Args:
        example: golden image with probabilities in the contract's order of classes.
        probabilities: class to probability, from `/classify`; NaN for a missing class.
        contract: order of the classes, and tolerance.
        precision: of the serving engine, which widens the tolerance.
    """
    received = [probabilities.get(label, float("nan")) for label in contract.classes]
    allowed = tolerance(contract, precision)
    differences = [abs(a - b) for a, b in zip(received, example.probabilities, strict=True)]
    if not all(value <= allowed for value in differences):
        raise ArtifactError(
            f"the prediction of golden image {example.file} ({example.label}) differs from "
            "the stored probabilities",
            expected=f"{example.probabilities} within {allowed}",
            received=str(probabilities),
        )
    return max(differences)


@contextlib.contextmanager
def _process(command: list[str], bento: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service during the block, with its log and home in `folder`."""
    bundle = baked_bundle(bento).resolve()
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables = {
        **inherited,
        **TELEMETRY_OFF,
        "API_KEYS_FILE": "",  # without keys the service requires none
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


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Poll `/readyz`; UnreachableError if the service exits or 120 s pass."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    with open_client(url, timeout=_REQUEST_TIMEOUT_S) as client:
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if client.get("/readyz").status_code == httpx.codes.OK:
                    return
            time.sleep(0.3)
    raise UnreachableError(
        "the service of the built Bento is not ready",
        expected=f"200 from {url}/readyz within {_START_TIMEOUT_S:.0f} s",
        received=log.read_text(errors="replace")[-2000:],
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate the service; kill its child processes that are left after the timeout."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        for left in psutil.wait_procs(children, _STOP_TIMEOUT_S)[1]:
            left.kill()
    process.wait(_STOP_TIMEOUT_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
