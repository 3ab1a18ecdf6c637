"""The HTTP client of the service: responses, retries and errors."""

from collections.abc import Callable

import httpx
import pytest

from pipeline.adapters import service_client as adapter
from pipeline.errors import InvalidInputError, UnreachableError

URL = "http://service.test"
ERROR = {
    "error": {"code": "x", "message": "not an image", "expected": "a JPEG", "received": "text"}
}
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Callable[[Handler], None]:
    """Replace the network by a function."""

    def install(handler: Handler) -> None:
        client = httpx.Client(base_url=URL, transport=httpx.MockTransport(handler))
        monkeypatch.setattr(adapter, "_client", lambda _: client)

    return install


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"\x89PNG...", "image/png"), (b"\xff\xd8...", "image/jpeg"), (b"BM...", "image/bmp")],
)
def test_an_image_is_sent_with_its_media_type(
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


def test_a_key_is_sent_if_it_is_set(service: Callable[[Handler], None]) -> None:
    """With both requests; without a key there is no header."""
    seen: list[str | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("x-api-key"))
        return httpx.Response(200, json={})

    service(handler)
    adapter.classify(URL, "cell.png", b"", "sesame")
    adapter.served_model(URL, "sesame")
    adapter.classify(URL, "cell.png", b"")
    assert seen == ["sesame", "sesame", None]


def test_a_429_is_retried(
    service: Callable[[Handler], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the pause in Retry-After; a service that stays overloaded is an error."""
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    busy = httpx.Response(429, json=ERROR, headers={"retry-after": "2"})
    # A proxy may send a date.
    dated = httpx.Response(429, headers={"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"})
    responses = [busy, dated, httpx.Response(200, json={"label": "ROUND"})]
    service(lambda _: responses.pop(0))
    assert adapter.classify(URL, "cell.png", b"") == {"label": "ROUND"}
    assert pauses == [2, 1]
    service(lambda _: busy)
    with pytest.raises(UnreachableError, match="is overloaded"):
        adapter.classify(URL, "cell.png", b"")


def test_a_refused_image_is_invalid_input(service: Callable[[Handler], None]) -> None:
    """The error has the service's message, expected and received."""
    service(lambda _: httpx.Response(415, json=ERROR))
    with pytest.raises(InvalidInputError, match="not an image; expected a JPEG; received text"):
        adapter.classify(URL, "cell.png", b"text")


def test_a_service_without_a_model_is_unreachable(service: Callable[[Handler], None]) -> None:
    """A 503 is not invalid input; `served_model` returns None."""
    service(lambda _: httpx.Response(503, json=ERROR))
    with pytest.raises(UnreachableError):
        adapter.classify(URL, "cell.png", b"")
    assert adapter.served_model(URL) is None


@pytest.mark.parametrize(
    "request_once", [lambda: adapter.classify(URL, "x", b""), lambda: adapter.served_model(URL)]
)
def test_an_unreachable_service_is_named(
    service: Callable[[Handler], None], request_once: Callable[[], object]
) -> None:
    """The error has the address."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    service(refuse)
    with pytest.raises(UnreachableError, match=URL):
        request_once()


@pytest.mark.parametrize("body", ["<html>bad gateway</html>", '{"error": "no"}', '{"error": {}}'])
def test_a_response_of_another_program_is_unreachable(
    service: Callable[[Handler], None], body: str
) -> None:
    """Such as a proxy's HTML page, or JSON without the fields of the service's errors."""
    service(lambda _: httpx.Response(502, text=body))
    with pytest.raises(UnreachableError, match=r"another program responds at .* 502"):
        adapter.classify(URL, "cell.png", b"")
