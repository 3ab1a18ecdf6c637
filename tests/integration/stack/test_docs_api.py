"""The commands of README and docs/api.md work as printed, with the responses they promise."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.waiting import wait_for

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]
HOST = "http://127.0.0.1:3000"
API = (ROOT / "docs" / "api.md").read_text()
README = (ROOT / "README.md").read_text().partition("## Using the service")[2].partition("\n## ")[0]
PRELUDE = """
n=0
curl() {
  n=$((n + 1))
  command curl --silent --show-error --max-time 60 --write-out '\\n%{http_code}' "$@" > answer-$n
}
"""
"""Writes each response to a file that ends with its status; a failed curl ends the script."""


@dataclass(frozen=True)
class Block:
    """Shell lines, the status of each response, and the printed body of the last one."""

    script: str
    statuses: tuple[int, ...]
    body: Any


def blocks(page: str) -> list[Block]:
    """Blocks of a page with curl lines; a JSON block right after one is its response."""
    found = [*fences(page), ("", "")]
    return [
        Block(text, statuses(text), json.loads(after) if after_kind == "json" else None)
        for (_, text), (after_kind, after) in pairwise(found)
        if "curl " in text
    ]


def fences(page: str) -> list[tuple[str, str]]:
    """Kind and text of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page, re.M | re.S)


def statuses(script: str) -> tuple[int, ...]:
    """Promised status of each curl line; 200 without a comment."""
    lines = [line for line in script.splitlines() if line.startswith("curl ")]
    matches = [re.search(r"# (\d{3})$", line) for line in lines]
    return tuple(int(match[1]) if match else 200 for match in matches)


class Airflow(BaseHTTPRequestHandler):
    """Fake Airflow that accepts every login and every run."""

    def do_POST(self) -> None:
        """Respond with a token and a run."""
        self.rfile.read(int(self.headers["content-length"]))
        run = {"dag_id": "blood_cell_training", "dag_run_id": "manual__1", "state": "queued"}
        self.send_response(201)
        self.end_headers()
        self.wfile.write(json.dumps({"access_token": "token", **run}).encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def airflow() -> Iterator[str]:
    """Run the fake Airflow; yields its URL."""
    with HTTPServer(("127.0.0.1", 0), Airflow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def service_and_folder(
    tmp_path_factory: pytest.TempPathFactory,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
    cell_image: Callable[..., bytes],
) -> Iterator[tuple[str, Path]]:
    """URL of a service with a model, and a folder with the files that the pages name."""
    folder = tmp_path_factory.mktemp("docs")
    stage = make_stage(folder / "store")
    stage.point_to(stage.publish(folder / "first"))
    for name in ("desk/slides", "desk/more/deep"):
        (folder / name).mkdir(parents=True)
    for number, name in enumerate(("cell.jpeg", "other.jpeg", "slides/a.jpeg", "more/deep/b.png")):
        (folder / "desk" / name).write_bytes(cell_image(number))
    (folder / "desk" / "notes.txt").write_text("no image")
    with airflow() as url, serve(folder, stage.root, AIRFLOW_URL=url) as service:
        wait_for(lambda: httpx.get(f"{service}/readyz").status_code == 200)
        yield service, folder


def ran(
    service_and_folder: tuple[str, Path], script: str, *command: str
) -> subprocess.CompletedProcess[str]:
    """Run a script of a page; only the host and the path of `leukoflow` are replaced."""
    url, folder = service_and_folder
    ours = f"{sys.executable} -m pipeline"
    script = script.replace(HOST, url).replace(".venv/bin/leukoflow", ours)
    return subprocess.run(
        [*command, script],
        cwd=folder / "desk",
        env={
            **os.environ,
            "LEUKOFLOW_HOME": str(folder / "home"),
            "PYTHONPATH": str(ROOT),
            "SERVICE_URL": url,
            "TRAIN_API_KEY": "sesame",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def shape(value: Any) -> Any:
    """Field names and types, without values; of a list only its first entry."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return "number" if type(value) in (int, float) else type(value).__name__


@pytest.mark.parametrize(
    "block", [*blocks(README), *blocks(API)], ids=lambda block: block.script.splitlines()[-1]
)
def test_every_curl_line_has_the_promised_response(
    service_and_folder: tuple[str, Path], block: Block
) -> None:
    """Each curl line runs; status and shape of the response are those of the page."""
    for old in (
        *service_and_folder[1].glob("desk/answer-*"),
        *service_and_folder[1].glob("home/api-keys.json"),
    ):
        old.unlink()
    done = ran(service_and_folder, PRELUDE + block.script, "bash", "-euo", "pipefail", "-c")
    assert done.returncode == 0, done.stderr
    numbers = range(1, len(block.statuses) + 1)
    responses = [
        (service_and_folder[1] / "desk" / f"answer-{n}").read_text().rpartition("\n")
        for n in numbers
    ]
    assert tuple(int(status) for _, _, status in responses) == block.statuses, responses
    if block.body is not None:
        assert shape(json.loads(responses[-1][0])) == shape(block.body)


def test_the_python_example_runs(service_and_folder: tuple[str, Path]) -> None:
    """As printed, in a folder with an image."""
    (example,) = [text for kind, text in fences(API) if kind == "python"]
    done = ran(service_and_folder, example, sys.executable, "-c")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"[A-Z]+ (accept|review)\n", done.stdout)


def test_every_route_is_on_the_page(service_and_folder: tuple[str, Path]) -> None:
    """Every route in OpenAPI is documented."""
    paths = httpx.get(f"{service_and_folder[0]}/docs.json", timeout=30).json()["paths"]
    assert [path for path in paths if path not in API] == []
    promised = [status for block in blocks(API) for status in block.statuses]
    assert len(promised) > 20
    assert set(promised) == {200, 202, 400, 401, 404, 405, 415, 422}
