"""Access log: one line per request."""

import asyncio
import json
import logging
from datetime import datetime

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message

from bento_service.http.middleware import ServiceMiddleware


async def predict(request: Request) -> Response:
    """Respond with every second byte of the body."""
    return PlainTextResponse((await request.body())[::2])


@pytest.fixture
def client() -> TestClient:
    """A small app behind the middleware."""
    return TestClient(
        ServiceMiddleware(Starlette(routes=[Route("/predict", predict, methods=["POST"])]))
    )


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [json.loads(r.message) for r in caplog.records if r.name == "leukoflow.access"]


def test_a_request_has_one_line(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """Time, route, status, duration, bytes and key name."""
    with caplog.at_level(logging.INFO, "leukoflow.access"):
        answer = client.post(
            "/predict?canary=1", content=b"x" * 100, headers={"content-type": "application/json"}
        )
    (line,) = lines(caplog)
    assert datetime.fromisoformat(str(line.pop("time"))).utcoffset() is not None
    assert float(str(line.pop("milliseconds"))) >= 0
    assert line == {
        "request_id": answer.headers["x-request-id"],
        "method": "POST",
        "route": "/predict",
        "status": 200,
        "received": 100,
        "sent": 50,
        "key": "",
    }


def test_unknown_paths_and_methods_are_logged_as_other(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Text from the client never reaches the log; an error has its line too."""
    with caplog.at_level(logging.INFO, "leukoflow.access"):
        answer = client.request("CANARY", "/canary/canary.jpeg")
    (line,) = lines(caplog)
    assert (line["method"], line["route"], line["status"]) == ("other", "other", 404)
    assert line["sent"] == len(answer.content)
    assert "canary" not in json.dumps(line).lower()


def test_a_disconnect_is_logged_and_gets_a_response(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody reads it, but BentoML would wait for a response."""
    sent: list[Message] = []
    pending = [{"type": "http.request", "body": b"x", "more_body": True}]
    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b""}
    headers = [(b"content-type", b"application/json"), (b"content-length", b"100")]

    async def receive() -> Message:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    with caplog.at_level(logging.INFO, "leukoflow.access"):
        asyncio.run(ServiceMiddleware(Starlette())({**scope, "headers": headers}, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    (line,) = lines(caplog)
    assert (line["status"], line["received"]) == (499, 1)
