"""Middleware: body limits, multipart files, request ids, and one error format."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from bento_service.http import middleware
from bento_service.http.middleware import Limits, ServiceMiddleware, ServiceState


async def classify(request: Request) -> Response:
    """Respond with the size of the files that the middleware read."""
    return JSONResponse(
        {"size": sum(map(len, request.state.files)), "id": request.state.request_id}
    )


async def predict(request: Request) -> Response:
    """Respond with the length of the replayed body."""
    return JSONResponse({"size": len(await request.body())})


async def broken(request: Request) -> Response:
    """Fail as other code does."""
    return PlainTextResponse("secret trace", 500)


@pytest.fixture
def client() -> TestClient:
    """A small app behind the middleware with low limits."""
    routes = [
        Route("/classify", classify, methods=["POST"]),
        Route("/differential", classify, methods=["POST"]),
        Route("/predict", predict, methods=["POST"]),
        Route("/broken", broken),
    ]
    return TestClient(
        ServiceMiddleware(Starlette(routes=routes), limits=Limits(max_body=1000, body_timeout_s=5))
    )


def error(response: Any) -> dict[str, str]:
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message", "expected", "received", "request_id"}
    assert response.headers["x-request-id"] == body["error"]["request_id"]
    detail: dict[str, str] = body["error"]
    return detail


def test_one_file_is_read_from_the_body(client: TestClient) -> None:
    """The route gets the bytes and the caller's request id."""
    answer = client.post(
        "/classify", files={"image": ("x.png", b"12345")}, headers={"x-request-id": "abc-1"}
    )
    assert answer.json() == {"size": 5, "id": "abc-1"}
    assert answer.headers["x-request-id"] == "abc-1"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "request_body",
    [
        {"files": {"image": (None, "http://127.0.0.1:1/cell.png")}},
        {"files": {"picture": ("x.png", b"12345")}},
        {"files": [("image", ("a.png", b"1")), ("image", ("b.png", b"2"))]},
        {"files": {"image": ("x.png", b"1"), "other": (None, "http://127.0.0.1:1/")}},
        {"files": {"image": ("", b"1")}},
        {"content": b"--x\r\nnonsense", "headers": {"content-type": "multipart/form-data"}},
        {
            "content": b"--x\r\nnonsense",
            "headers": {"content-type": "multipart/form-data; boundary=x"},
        },
        {"content": b"", "headers": {"content-type": "multipart/form-data; boundary=x"}},
    ],
)
def test_anything_but_one_file_is_refused(client: TestClient, request_body: Any) -> None:
    """A value, a URL, another name, two files, an empty or broken body: 400."""
    answer = client.post("/classify", **request_body)
    assert answer.status_code == 400
    assert error(answer)["code"] in ("not_one_file", "bad_multipart")


@pytest.mark.parametrize(
    "kind",
    ["application/json", "text/plain", "application/x-www-form-urlencoded", "image/jpeg", ""],
)
def test_other_kinds_of_body_are_refused(client: TestClient, kind: str) -> None:
    """A file route accepts form data only, so a URL in a plain body is never read."""
    headers = {"content-type": kind} if kind else {}
    answer = client.post("/classify", content=b"http://127.0.0.1:1/", headers=headers)
    assert answer.status_code == 415
    assert error(answer)["expected"] == "multipart/form-data"


def test_a_path_that_resembles_a_route_is_not_found(client: TestClient) -> None:
    """A router's pattern also matches before a final line feed; the middleware does not."""
    answer = client.post("/classify%0a", content=b"http://127.0.0.1:1/")
    assert answer.status_code == 404
    assert error(answer)["code"] == "not_found"


def test_bodies_are_capped_with_and_without_a_length(client: TestClient) -> None:
    """A body with a length is refused unread, one without while it is read."""
    json = {"content-type": "application/json"}
    assert client.post("/predict", content=b"x" * 1000, headers=json).json() == {"size": 1000}
    announced = client.post("/predict", content=b"x" * 1001, headers=json)
    streamed = client.post("/predict", content=iter([b"x" * 600] * 2), headers=json)
    for answer in (announced, streamed):
        assert answer.status_code == 413
        assert error(answer)["code"] == "body_too_large"


def test_errors_of_other_code_get_the_format_and_lose_details(client: TestClient) -> None:
    """404, 405 and 500 of Starlette get the same body as ours."""
    assert error(client.get("/nothing"))["code"] == "not_found"
    refused = client.get("/predict")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "POST"
    assert error(refused)["expected"] == "POST"
    failed = client.get("/broken")
    assert failed.status_code == 500
    assert "secret" not in failed.text


def test_an_unsafe_request_id_is_replaced(client: TestClient) -> None:
    """Text from the client reaches logs and headers only as a plain word."""
    for given in ("a b", "x" * 65, "<script>"):
        answer = client.get("/nothing", headers={"x-request-id": given})
        assert answer.headers["x-request-id"] != given
        error(answer)


def test_a_route_may_accept_many_files(client: TestClient) -> None:
    """The body may be larger; the error names a part that is not a file."""
    files = [("images", (f"{n}.png", b"1234567890")) for n in range(20)]
    assert client.post("/differential", files=files).json()["size"] == 200
    refused = client.post("/differential", files=files[:1], data={"other": "1"})
    assert refused.status_code == 400
    assert error(refused)["received"] == "a value named 'other', a file named 'images'"


def test_too_many_files_are_refused() -> None:
    """The error states the maximum and names the first parts."""
    route = Route("/differential", classify, methods=["POST"])
    wide = TestClient(ServiceMiddleware(Starlette(routes=[route]), limits=Limits(max_body=100_000)))
    refused = wide.post("/differential", files=[("images", (f"{n}.png", b"1")) for n in range(503)])
    assert refused.status_code == 400
    assert error(refused)["expected"] == "up to 500 parts named 'images' with a file name"
    assert error(refused)["received"].endswith("and 496 more")


def test_buffered_bytes_are_released(client: TestClient) -> None:
    """The count is 0 after success and after every kind of error."""
    app = client.app
    assert isinstance(app, middleware.ServiceMiddleware)
    json = {"content-type": "application/json"}
    client.post("/predict", content=b"x" * 900, headers=json)
    client.post("/predict", content=iter([b"x" * 600] * 2), headers=json)
    client.post("/classify", files={"picture": ("x.png", b"12345")})
    assert app._buffered == 0


def test_during_shutdown_connections_are_closed() -> None:
    """By every response, success or error."""
    ending = False
    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    caller = TestClient(ServiceMiddleware(app, state=ServiceState(shutting_down=lambda: ending)))
    sent = {"content": b"{}", "headers": {"content-type": "application/json"}}
    assert "connection" not in caller.post("/predict", **sent).headers
    ending = True
    assert caller.post("/predict", **sent).headers["connection"] == "close"
    assert caller.get("/made-up").headers["connection"] == "close"


def test_a_full_queue_rejects_images_before_reading_bodies() -> None:
    """429 with Retry-After for one image; a differential retries instead."""
    routes = [
        Route("/classify", classify, methods=["POST"]),
        Route("/differential", classify, methods=["POST"]),
    ]
    caller = TestClient(
        ServiceMiddleware(Starlette(routes=routes), state=ServiceState(reject_if_full=lambda: True))
    )
    unread = {"content-type": "multipart/form-data; boundary=x"}
    answer = caller.post("/classify", content=b"no form", headers=unread)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert error(answer)["code"] == "busy"
    assert caller.post("/differential", files={"images": ("x", b"123")}).json()["size"] == 3
