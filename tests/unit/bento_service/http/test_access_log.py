"""The access log's line."""

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

from bento_service.http.middleware import Guard


async def predict(request: Request) -> Response:
    """Answer with half of what came."""
    return PlainTextResponse((await request.body())[::2])


@pytest.fixture
def client() -> TestClient:
    """A small app behind a guard."""
    return TestClient(Guard(Starlette(routes=[Route("/predict", predict, methods=["POST"])])))


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [json.loads(r.message) for r in caplog.records if r.name == "leukoflow.access"]


def test_an_answer_has_one_line(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """When, which, how long, how much, by whose key."""
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


def test_what_callers_make_up_is_called_other(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither their paths nor their methods reach the log; a refusal has its line too."""
    with caplog.at_level(logging.INFO, "leukoflow.access"):
        answer = client.request("CANARY", "/canary/canary.jpeg")
    (line,) = lines(caplog)
    assert (line["method"], line["route"], line["status"]) == ("other", "other", 404)
    assert line["sent"] == len(answer.content)
    assert "canary" not in json.dumps(line).lower()


def test_a_sender_who_leaves_is_logged_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    """An answer nobody hears: whoever waits for one, as BentoML does, waits no longer."""
    said: list[Message] = []
    pending = [{"type": "http.request", "body": b"x", "more_body": True}]
    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b""}
    headers = [(b"content-type", b"application/json"), (b"content-length", b"100")]

    async def receive() -> Message:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        said.append(message)

    with caplog.at_level(logging.INFO, "leukoflow.access"):
        asyncio.run(Guard(Starlette())({**scope, "headers": headers}, receive, send))
    assert [message["type"] for message in said] == ["http.response.start", "http.response.body"]
    (line,) = lines(caplog)
    assert (line["status"], line["received"]) == (499, 1)
