"""Commands under the proxies of an environment, with real servers on loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.integration.service.asking import answers
from tests.integration.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DEAD = "127.0.0.1:9"
ENVIRONMENTS = {
    "socks": {"ALL_PROXY": f"socks5://{DEAD}", "NO_PROXY": "127.0.0.1"},
    "socks everywhere": {"all_proxy": f"socks5h://{DEAD}", "HTTP_PROXY": f"socks5://{DEAD}"},
    "http": {"HTTP_PROXY": f"http://{DEAD}", "HTTPS_PROXY": f"http://{DEAD}"},
    "small letters": {"http_proxy": DEAD, "NO_PROXY": "lab"},
    "both": {"http_proxy": f"http://{DEAD}", "NO_PROXY": "127.0.0.1", "no_proxy": "lab"},
}


class _Answers(BaseHTTPRequestHandler):
    """Answers each request with 200: an S3 bucket that exists, an MLflow without experiments."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"{}")

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""


@pytest.fixture(scope="module")
def loopback() -> Iterator[str]:
    """URL of a server on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> Iterator[str]:
    """URL of a service with a model, itself under a SOCKS proxy."""
    folder = tmp_path_factory.mktemp("proxies")
    stage = make_stage(folder / "store")
    stage.point_to(stage.publish(folder / "first"))
    with serve(folder, stage.root, **ENVIRONMENTS["socks"]) as url:
        wait_for(lambda: answers(f"{url}/readyz"))
        yield url


def run(proxies: dict[str, str], *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python with words under proxies, and with no other proxy."""
    own = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return subprocess.run(
        [sys.executable, *words],
        env={**own, **proxies, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.field("socks_proxy")
@pytest.mark.parametrize("proxies", ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
def test_predict_requests_the_service_directly(
    proxies: dict[str, str], served: str, cell_image: Callable[..., bytes], tmp_path: Path
) -> None:
    """A dead proxy in between would fail every image."""
    (tmp_path / "cell.jpeg").write_bytes(cell_image(0))
    words = ("-m", "pipeline", "predict", str(tmp_path), "--json")
    done = run(proxies, *words, SERVICE_URL=served, LEUKOFLOW_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["label"] == "EOSINOPHIL"


@pytest.mark.field("socks_proxy")
@pytest.mark.parametrize("proxies", ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
def test_the_store_on_loopback_is_requested_directly(
    proxies: dict[str, str], loopback: str, tmp_path: Path
) -> None:
    """`leukoflow doctor` and `status` find the bucket and the parts without a traceback."""
    store = {
        "STORE_URI": "s3://cells",
        "AWS_ENDPOINT_URL_S3": loopback,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
        "LEUKOFLOW_HOME": str(tmp_path),
        "COLUMNS": "200",
    }
    for command in ("doctor", "status"):
        done = run(proxies, "-m", "pipeline", command, **store)
        assert "Traceback" not in done.stderr
        assert "does not respond" not in done.stdout + done.stderr
    found = "from pipeline.adapters.storage import S3Store; "
    found += "from pipeline.settings import load_settings; "
    found += "S3Store(load_settings()).require_bucket('s3://cells/x')"
    assert run(proxies, "-c", found, **store).returncode == 0


@pytest.mark.field("socks_proxy")
@pytest.mark.parametrize("proxies", ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
def test_mlflow_and_airflow_on_loopback_are_requested_directly(
    proxies: dict[str, str], loopback: str
) -> None:
    """MLflow's client in a process of ours; our client of Airflow gets an answer, not a proxy's."""
    reach = "import pipeline.entrypoints, mlflow, sys; "
    reach += "mlflow.MlflowClient(tracking_uri=sys.argv[1]).search_experiments(max_results=1)"
    done = run(proxies, "-c", reach, loopback)
    assert done.returncode == 0, done.stderr
    retrain = run(
        proxies, "-m", "pipeline", "retrain", AIRFLOW_URL="http://127.0.0.1:9", COLUMNS="200"
    )
    assert "Airflow does not respond at http://127.0.0.1:9" in retrain.stderr
    assert "through" not in retrain.stderr


@pytest.mark.field("socks_proxy")
def test_another_host_needs_a_proxy_that_can_be_used(tmp_path: Path) -> None:
    """The message names the variable; no traceback."""
    (tmp_path / "cell.jpeg").write_bytes(b"1")
    words = ("-m", "pipeline", "predict", str(tmp_path / "cell.jpeg"))
    done = run(ENVIRONMENTS["socks"], *words, SERVICE_URL="http://service.test:3000")
    assert done.returncode == 2
    assert "the proxy in ALL_PROXY cannot be used" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    done = run(ENVIRONMENTS["http"], *words, SERVICE_URL="http://service.test:3000")
    assert "through http://127.0.0.1:9 of HTTP_PROXY" in done.stdout + done.stderr
