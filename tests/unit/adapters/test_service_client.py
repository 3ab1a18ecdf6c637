"""The service as a client sees it: its answers and refusals in our words."""

from collections.abc import Callable

import httpx
import pytest

from pipeline.adapters import service_client as adapter
from pipeline.errors import InvalidInputError, UnreachableError

URL = "http://service.test"
ERROR = {
    "error": {"code": "x", "message": "it is no image", "expected": "a JPEG", "received": "text"}
}
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Callable[[Handler], None]:
    """Let a function answer in place of the network."""

    def install(handler: Handler) -> None:
        client = httpx.Client(transport=httpx.MockTransport(handler))
        monkeypatch.setattr(adapter, "_client", lambda: client)

    return install


@pytest.mark.parametrize(
    ("data", "kind"), [(b"\x89PNG...", "image/png"), (b"\xff\xd8...", "image/jpeg")]
)
def test_an_image_is_sent_as_what_it_is(
    service: Callable[[Handler], None], data: bytes, kind: str
) -> None:
    """The bytes decide the media type, not the file's name."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"label": "ROUND"})

    service(handler)
    assert adapter.classify(URL, "cell.bin", data) == {"label": "ROUND"}
    assert str(seen[0].url) == f"{URL}/classify"
    body = seen[0].read()
    assert b'name="image"; filename="cell.bin"' in body
    assert f"Content-Type: {kind}".encode() in body


def test_a_key_is_sent_where_there_is_one(service: Callable[[Handler], None]) -> None:
    """With both questions; without one there is no header."""
    seen: list[str | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("x-api-key"))
        return httpx.Response(200, json={})

    service(handler)
    adapter.classify(URL, "cell.png", b"", "sesame")
    adapter.served_model(URL, "sesame")
    adapter.classify(URL, "cell.png", b"")
    assert seen == ["sesame", "sesame", None]


def test_a_busy_service_is_asked_again(
    service: Callable[[Handler], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the pause that it names; one that stays busy is given up."""
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    busy = httpx.Response(429, json=ERROR, headers={"retry-after": "2"})
    answers = [busy, busy, httpx.Response(200, json={"label": "ROUND"})]
    service(lambda _: answers.pop(0))
    assert adapter.classify(URL, "cell.png", b"") == {"label": "ROUND"}
    assert pauses == [2, 2]
    service(lambda _: busy)
    with pytest.raises(UnreachableError, match="is overloaded"):
        adapter.classify(URL, "cell.png", b"")


def test_a_refused_image_is_bad_input(service: Callable[[Handler], None]) -> None:
    """What the service expected and received reaches the caller."""
    service(lambda _: httpx.Response(415, json=ERROR))
    with pytest.raises(InvalidInputError, match="it is no image; expected a JPEG; received text"):
        adapter.classify(URL, "cell.png", b"text")


def test_a_service_without_a_model_is_unreachable(service: Callable[[Handler], None]) -> None:
    """A 503 is not the image's fault, and `served_model` answers it with None."""
    service(lambda _: httpx.Response(503, json=ERROR))
    with pytest.raises(UnreachableError):
        adapter.classify(URL, "cell.png", b"")
    assert adapter.served_model(URL) is None


@pytest.mark.parametrize(
    "ask", [lambda: adapter.classify(URL, "x", b""), lambda: adapter.served_model(URL)]
)
def test_a_service_that_does_not_answer_is_named(
    service: Callable[[Handler], None], ask: Callable[[], object]
) -> None:
    """The address is in the error."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    service(refuse)
    with pytest.raises(UnreachableError, match=URL):
        ask()


def test_an_answer_from_something_else_is_no_traceback(service: Callable[[Handler], None]) -> None:
    """A proxy's HTML page in between is told as a service that does not answer."""
    service(lambda _: httpx.Response(502, text="<html>bad gateway</html>"))
    with pytest.raises(UnreachableError, match="502"):
        adapter.classify(URL, "cell.png", b"")
