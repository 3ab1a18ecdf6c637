"""The guard: caps, files out of bodies, request ids, and one shape for every error."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from bento_service.http import middleware
from bento_service.http.middleware import Guard


async def classify(request: Request) -> Response:
    """Tell what the guard took out of the body."""
    return JSONResponse(
        {"size": sum(map(len, request.state.files)), "id": request.state.request_id}
    )


async def predict(request: Request) -> Response:
    """Tell the length of the replayed body."""
    return JSONResponse({"size": len(await request.body())})


async def broken(request: Request) -> Response:
    """Answer as somebody else's code does."""
    return PlainTextResponse("secret trace", 500)


@pytest.fixture
def client() -> TestClient:
    """A small app behind a guard with small limits."""
    routes = [
        Route("/classify", classify, methods=["POST"]),
        Route("/differential", classify, methods=["POST"]),
        Route("/predict", predict, methods=["POST"]),
        Route("/broken", broken),
    ]
    return TestClient(Guard(Starlette(routes=routes), max_body=1000, body_seconds=5))


def error(response: Any) -> dict[str, str]:
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message", "expected", "received", "request_id"}
    assert response.headers["x-request-id"] == body["error"]["request_id"]
    detail: dict[str, str] = body["error"]
    return detail


def test_one_file_is_taken_out_of_the_body(client: TestClient) -> None:
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
    """A file route takes form data only, so a URL in a plain body is never read."""
    headers = {"content-type": kind} if kind else {}
    answer = client.post("/classify", content=b"http://127.0.0.1:1/", headers=headers)
    assert answer.status_code == 415
    assert error(answer)["expected"] == "multipart/form-data"


def test_a_path_that_only_looks_like_a_route_is_none(client: TestClient) -> None:
    """A router's pattern also matches before a final line feed; the guard does not."""
    answer = client.post("/classify%0a", content=b"http://127.0.0.1:1/")
    assert answer.status_code == 404
    assert error(answer)["code"] == "not_found"


def test_bodies_are_capped_with_and_without_a_length(client: TestClient) -> None:
    """A body that announces its size is refused unread, another while it is read."""
    json = {"content-type": "application/json"}
    assert client.post("/predict", content=b"x" * 1000, headers=json).json() == {"size": 1000}
    announced = client.post("/predict", content=b"x" * 1001, headers=json)
    streamed = client.post("/predict", content=iter([b"x" * 600] * 2), headers=json)
    for answer in (announced, streamed):
        assert answer.status_code == 413
        assert error(answer)["code"] == "body_too_large"


def test_errors_of_others_get_the_shape_and_lose_their_secrets(client: TestClient) -> None:
    """404, 405 and 500 of the framework say the same things in the same place."""
    assert error(client.get("/nothing"))["code"] == "not_found"
    refused = client.get("/predict")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "POST"
    assert error(refused)["expected"] == "POST"
    failed = client.get("/broken")
    assert failed.status_code == 500
    assert "secret" not in failed.text


def test_a_request_id_that_is_no_plain_word_is_replaced(client: TestClient) -> None:
    """What a caller sends must not reach logs or headers unless it is harmless."""
    for given in ("a b", "x" * 65, "<script>"):
        answer = client.get("/nothing", headers={"x-request-id": given})
        assert answer.headers["x-request-id"] != given
        error(answer)


def test_a_route_may_take_many_files(client: TestClient) -> None:
    """All are taken out, and the body may be larger; a stray value is refused by name."""
    files = [("images", (f"{n}.png", b"1234567890")) for n in range(20)]
    assert client.post("/differential", files=files).json()["size"] == 200
    refused = client.post("/differential", files=files[:1], data={"other": "1"})
    assert refused.status_code == 400
    assert error(refused)["received"] == "a value named 'other', a file named 'images'"


def test_too_many_files_are_refused_in_words() -> None:
    """The error says how many there may be, and names a few of those that came."""
    route = Route("/differential", classify, methods=["POST"])
    wide = TestClient(Guard(Starlette(routes=[route]), max_body=100_000))
    refused = wide.post("/differential", files=[("images", (f"{n}.png", b"1")) for n in range(503)])
    assert refused.status_code == 400
    assert error(refused)["expected"] == "up to 500 parts named 'images' with a file name"
    assert error(refused)["received"].endswith("and 496 more")


def test_held_bodies_are_let_go(client: TestClient) -> None:
    """The memory account is even after every kind of ending."""
    app = client.app
    assert isinstance(app, middleware.Guard)
    json = {"content-type": "application/json"}
    client.post("/predict", content=b"x" * 900, headers=json)
    client.post("/predict", content=iter([b"x" * 600] * 2), headers=json)
    client.post("/classify", files={"picture": ("x.png", b"12345")})
    assert app._held == 0


def test_while_the_worker_ends_callers_are_asked_not_to_come_back() -> None:
    """Every answer, good or bad, then closes its connection."""
    ending = False
    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    caller = TestClient(Guard(app, ending=lambda: ending))
    sent = {"content": b"{}", "headers": {"content-type": "application/json"}}
    assert "connection" not in caller.post("/predict", **sent).headers
    ending = True
    assert caller.post("/predict", **sent).headers["connection"] == "close"
    assert caller.get("/made-up").headers["connection"] == "close"


def test_a_full_line_turns_images_away_before_their_bodies_are_read() -> None:
    """429 with Retry-After for one image, also when its body never comes; many images may wait."""
    routes = [
        Route("/classify", classify, methods=["POST"]),
        Route("/differential", classify, methods=["POST"]),
    ]
    caller = TestClient(Guard(Starlette(routes=routes), turns_away=lambda: True))
    unread = {"content-type": "multipart/form-data; boundary=x"}
    answer = caller.post("/classify", content=b"no form", headers=unread)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert error(answer)["code"] == "busy"
    assert caller.post("/differential", files={"images": ("x", b"123")}).json()["size"] == 3
