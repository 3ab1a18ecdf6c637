"""A subject of the doctor in an empty home, and small HTTP servers."""

import email.utils
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from pipeline.doctor.finding import Subject
from pipeline.settings import load_settings

Response = tuple[int, str | dict[str, Any]]
Routes = Mapping[str, Response]
"""Path to status and body; `*` for any other path."""


@pytest.fixture
def examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Subject]:
    """Function that returns the subject of an environment, in an empty home."""

    def make(**variables: str) -> Subject:
        environment = {"LEUKOFLOW_HOME": str(tmp_path / "home"), **variables}
        for name in ("STORE_URI", "MODEL_NAME", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return Subject(load_settings(), environment)

    return make


@pytest.fixture
def respond() -> Iterator[Callable[..., str]]:
    """Function that serves routes on a free port, with a clock that is `ahead_s` ahead; its URL."""
    with ExitStack() as stack:

        def serve(routes: Routes, ahead_s: float = 0) -> str:
            server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(routes, ahead_s))
            Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield serve


def _handler(routes: Routes, ahead_s: float) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            path = self.path.partition("?")[0]
            status, content = routes.get(path) or routes.get("*") or (404, "not found")
            body = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"1"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815

        def date_time_string(self, timestamp: float | None = None) -> str:
            return email.utils.formatdate((timestamp or time.time()) + ahead_s, usegmt=True)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    return Handler
