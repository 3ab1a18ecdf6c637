"""Requests as clients, proxies and libraries write them, byte for byte."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.service.asking import answers
from tests.integration.sockets import connect, receive
from tests.integration.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow]

H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the service; its store is in `store`."""
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="module")
def url(
    folder: Path,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> Iterator[str]:
    """A service with a model."""
    stage = make_stage(folder / "store")
    stage.point_to(stage.publish(folder / "first"))
    with serve(folder, stage.root) as served:
        wait_for(lambda: answers(f"{served}/readyz"))
        yield served


def form(image: bytes, name: bytes = b'filename="cell.jpeg"', kind: bytes = b"image/jpeg") -> bytes:
    """A multipart body with one part; `name` is its file name as a client writes it."""
    disposition = b'Content-Disposition: form-data; name="image"; ' + name
    return b"--B\r\n%s\r\nContent-Type: %s\r\n\r\n%s\r\n--B--\r\n" % (disposition, kind, image)


def chunked(body: bytes) -> bytes:
    """The body in two chunks."""
    half = len(body) // 2
    parts = (body[:half], body[half:], b"")
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def send(
    url: str, body: bytes, headers: str = "", *, version: str = "1.1", path: str = "/classify"
) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a POST with these headers; the length is added unless it is chunked."""
    kind = "application/json" if path == "/predict" else "multipart/form-data; boundary=B"
    if "content-type" not in headers.lower():
        headers += f"Content-Type: {kind}\r\n"
    if "transfer-encoding" not in headers.lower():
        headers += f"Content-Length: {len(body)}\r\n"
    head = f"POST {path} HTTP/{version}\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
    with connect(url, head.encode("latin-1") + body) as connection:
        received = b""
        while more := receive(connection):
            received += more
    received = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    status, _, content = received.partition(b"\r\n\r\n")
    return int(status.split()[1]), json.loads(content)


@pytest.mark.parametrize(
    "name",
    [
        'filename="zélle 细胞.jpeg"'.encode(),
        'filename="zélle.jpeg"'.encode("latin-1"),
        b'filename="\x8d\xd7\x96E.jpeg"',
        b'filename="a\\"b.jpeg"',
        b"filename=cell.jpeg",
        b"filename*=utf-8''z%C3%A9lle.jpeg",
        b"FileName*=UTF-8''z%C3%A9lle.jpeg",
        b"filename*0*=utf-8''z%C3%A9; filename*1=lle.jpeg",
        b"filename=\"cell.jpeg\"; filename*=utf-8''z%C3%A9lle.jpeg",
    ],
)
def test_a_file_name_in_any_form_is_accepted(
    url: str, cell_image: Callable[..., bytes], name: bytes
) -> None:
    """Its text is never used; old clients write one that is not ASCII as `filename*` only."""
    status, answer = send(url, form(cell_image(0), name))
    assert (status, answer["label"]) == (200, "EOSINOPHIL")


@pytest.mark.parametrize("name", [b'filename=""', b'x="y"', b"x*=utf-8''a"])
def test_a_part_without_a_file_name_is_refused(
    url: str, cell_image: Callable[..., bytes], name: bytes
) -> None:
    """As `curl -F 'image=<cell.jpeg'` sends it; the message says what a part needs."""
    status, answer = send(url, form(cell_image(0), name))
    assert status == 400
    assert answer["error"]["expected"] == "one part named 'image' with a file name"


@pytest.mark.parametrize(
    "headers",
    [
        "Expect: 100-continue\r\n",
        "expect: 100-Continue\r\n",
        "content-type: multipart/form-data; boundary=B\r\n",
        'Content-Type: Multipart/Form-Data; charset=x; boundary="B"\r\n',
        "Content-Encoding: identity\r\n",
        "X-Request-ID: a\r\nX-Request-ID: b\r\n",
        "X-Request-ID: \xff\r\n",
        f"X-Request-ID: {'a' * 5000}\r\n",
        H2C,
        H2C.lower(),
        "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
    ],
)
def test_a_header_of_a_client_does_not_matter(
    url: str, cell_image: Callable[..., bytes], headers: str
) -> None:
    """Expect, letter case, repeated ids, and Java's offer of HTTP/2."""
    assert send(url, form(cell_image(0)), headers)[0] == 200


def test_other_versions_and_framings_are_accepted(
    url: str, cell_image: Callable[..., bytes]
) -> None:
    """HTTP/1.0, chunks without a length, and a part of any content type."""
    body = form(cell_image(0))
    assert send(url, body, version="1.0")[0] == 200
    assert send(url, chunked(body), "Transfer-Encoding: chunked\r\n")[0] == 200
    for kind in (b"application/octet-stream", b"image/jpg", b"text/plain; charset=bogus"):
        assert send(url, form(cell_image(0), kind=kind))[0] == 200


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ("Content-Encoding: gzip\r\n", 415, "unsupported_media_type"),
        ("content-encoding: BR\r\n", 415, "unsupported_media_type"),
        ("Content-Type: application/octet-stream\r\n", 415, "unsupported_media_type"),
        ("Content-Type: image/jpeg\r\n", 415, "unsupported_media_type"),
        ("Content-Length: 3\r\n", 400, "bad_request"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400, "bad_request"),
        ("X-A: a\x00b\r\n", 400, "bad_request"),
    ],
)
def test_what_cannot_be_read_is_a_clear_4xx(
    url: str, cell_image: Callable[..., bytes], headers: str, status: int, code: str
) -> None:
    """In the format of all errors, also where no request could be parsed."""
    received, answer = send(url, gzip.compress(form(cell_image(0))), headers)
    assert (received, answer["error"]["code"]) == (status, code)
    assert answer["error"]["expected"]


def test_json_of_other_encodings(url: str, cell_image: Callable[..., bytes]) -> None:
    """With a byte order mark or in UTF-16, as PowerShell writes it; compressed JSON is refused."""
    body = json.dumps({"image": base64.b64encode(cell_image(0)).decode()})
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert send(url, body.encode(encoding), path="/predict")[0] == 200
    compressed = gzip.compress(body.encode())
    status, answer = send(url, compressed, "Content-Encoding: gzip\r\n", path="/predict")
    assert (status, answer["error"]["received"]) == (415, "Content-Encoding: gzip")


def test_pipelined_requests_are_answered_in_order(url: str) -> None:
    """Three requests in one packet: three responses."""
    requests = [f"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-ID: r{n}\r\n\r\n" for n in range(3)]
    received = b""
    with connect(url, "".join(requests).encode()) as connection:
        while received.count(b"HTTP/1.1 200") < 3:
            received += receive(connection)
    assert [received.index(b"x-request-id: r%d" % n) for n in range(3)] == sorted(
        received.index(b"x-request-id: r%d" % n) for n in range(3)
    )


@pytest.mark.field("request_id")
def test_images_under_one_request_id_are_all_logged(
    url: str, folder: Path, cell_image: Callable[..., bytes]
) -> None:
    """Of several clients and routes, and a repeated upload, too: an id is no key by itself."""
    same = "X-Request-ID: constant\r\n"
    for number in range(20):
        assert send(url, form(cell_image(number % 4, shift=number)), same)[0] == 200
    body = json.dumps({"image": base64.b64encode(cell_image(0)).decode()}).encode()
    for _ in range(2):
        assert send(url, body, same, path="/predict")[0] == 200

    def logged() -> int:
        lines = [path.read_text() for path in folder.glob("store/logs/**/*.jsonl")]
        return "".join(lines).count('"request_id":"constant"')

    wait_for(lambda: logged() >= 22)
    assert logged() == 22
