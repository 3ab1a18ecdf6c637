"""API keys, headers, access log and privacy of a real service."""

import io
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from pipeline.adapters import api_key_file
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.integration

CANARY = "Kanarienvogel"
SECURITY = ("content-security-policy", "referrer-policy", "x-content-type-options", "x-request-id")


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> Iterator[tuple[str, Path]]:
    """URL of a service with a model, and the folder of all its files; metrics need a key."""
    folder = tmp_path_factory.mktemp("access")
    stage = make_stage(folder / "store")
    stage.point_to(stage.publish(folder / "first"))
    (folder / "tmp").mkdir()
    variables = {"TMPDIR": str(folder / "tmp"), "OPEN_METRICS": "false"}
    with serve(folder, stage.root, **variables) as url:
        wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        yield url, folder


@pytest.fixture
def keys(served: tuple[str, Path]) -> Iterator[Path]:
    """Path of the service's key file; deleted afterwards."""
    path = served[1] / "home" / "api-keys.json"
    yield path
    path.unlink(missing_ok=True)


def access_lines(folder: Path) -> list[dict[str, Any]]:
    """Access log lines in the service's output."""
    return [
        json.loads(line)
        for line in (folder / "service.log").read_text().splitlines()
        if line.startswith('{"time"')
    ]


def test_openapi_documents_api_keys(served: tuple[str, Path], keys: Path) -> None:
    """Both ways to send a key, as soon as one is listed."""

    def document() -> dict[str, Any]:
        return dict(httpx.get(f"{served[0]}/docs.json", timeout=30).json())

    assert "securitySchemes" not in document()["components"]
    api_key_file.add(keys, "lab-1")
    closed = document()
    assert set(closed["components"]["securitySchemes"]) == {"key", "bearer"}
    required: list[dict[str, list[str]]] = [{"key": []}, {"bearer": []}]
    assert closed["paths"]["/classify"]["post"]["security"] == required
    assert closed["paths"]["/metrics"]["get"]["security"] == required
    assert "security" not in closed["paths"]["/readyz"]["get"]


def test_keys_are_required_and_follow_their_file(
    served: tuple[str, Path], keys: Path, cell_image: Callable[..., bytes]
) -> None:
    """No key without a file; then only listed keys until revoked, without a restart."""
    url = served[0]

    def classify(**headers: str) -> httpx.Response:
        files = {"image": ("x", cell_image(0))}
        return httpx.post(f"{url}/classify", files=files, headers=headers)

    assert classify().status_code == 200
    first, second = api_key_file.add(keys, "lab-1"), api_key_file.add(keys, "lab-2")
    refused = classify()
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.json()["error"]["code"] == "unauthorized"
    assert classify(**{"x-api-key": "wrong"}).status_code == 401
    assert classify(**{"x-api-key": first}).status_code == 200
    assert classify(authorization=f"Bearer {second}").status_code == 200
    api_key_file.revoke(keys, "lab-1")
    assert classify(**{"x-api-key": first}).status_code == 401
    keys.write_text("damaged")
    closed = classify(authorization=f"Bearer {second}")
    assert (closed.status_code, closed.json()["error"]["code"]) == (503, "keys_unreadable")
    for path in ("/", "/static/page.js", "/livez", "/readyz", "/docs.json"):
        assert httpx.get(url + path, timeout=30).status_code == 200
    assert httpx.post(f"{url}/train", json={"reason": "test"}).json()["error"]["received"]
    log = (served[1] / "service.log").read_text()
    assert log.count("access is denied") == 1
    wait_for(lambda: access_lines(served[1])[-1]["route"] == "/train")
    assert {line["key"] for line in access_lines(served[1])} == {"", "lab-1", "lab-2"}
    assert not any(key in log for key in (first, second))


def test_the_bentoml_client_sends_its_token(
    served: tuple[str, Path], keys: Path, cell_image: Callable[..., bytes], tmp_path: Path
) -> None:
    """`SyncHTTPClient(url, token=KEY)` is accepted, also for its schema request."""
    import bentoml

    key = api_key_file.add(keys, "lab-1")
    path = tmp_path / "cell.jpeg"
    path.write_bytes(cell_image(1))
    with bentoml.SyncHTTPClient(served[0], token=key) as client:
        assert client.classify(image=path)["cell_found"]


def test_every_response_has_security_headers_and_no_cors(
    served: tuple[str, Path], keys: Path, cell_image: Callable[..., bytes]
) -> None:
    """Page, health, images, OpenAPI, and every kind of error."""
    url, origin = served[0], {"origin": "https://elsewhere.test"}
    image = {"image": ("x", cell_image(0))}
    answers = [
        *(httpx.get(url + path, headers=origin, timeout=30) for path in GET),
        httpx.post(f"{url}/classify", files=image, headers=origin),
        httpx.post(f"{url}/explain", files=image, headers=origin, timeout=60),
        httpx.post(f"{url}/classify", files={"image": ("x", b"no image")}, headers=origin),
        httpx.post(f"{url}/classify", json={}, headers=origin),
        httpx.post(f"{url}/classify", files={"other": ("x", b"1")}, headers=origin),
        httpx.post(f"{url}/predict", json={"image": 7}, headers=origin),
        httpx.post(f"{url}/train", json={}, headers=origin | {"x-api-key": "sesame"}),
        httpx.delete(f"{url}/model", headers=origin),
        httpx.head(url, headers=origin),
        httpx.options(f"{url}/classify", headers=origin | {"access-control-request-method": "PUT"}),
    ]
    api_key_file.add(keys, "lab-1")
    answers += [httpx.get(url + path, headers=origin) for path in ("/model", "/metrics")]
    assert {answer.status_code for answer in answers} >= {200, 400, 401, 404, 405, 415, 422}
    for answer in answers:
        assert all(name in answer.headers for name in SECURITY), answer.url
        assert not any(name.startswith("access-control") for name in answer.headers), answer.url
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy


GET = (
    *("/", "/static/page.js", "/static/nothing", "/livez", "/readyz", "/healthz", "/model"),
    *("/metrics", "/docs.json", "/schema.json", "/nothing", "/classify", "/classify%0a"),
)


def marked(image: bytes) -> dict[str, bytes]:
    """A JPEG and a PNG with a canary in every place that is not a pixel."""
    exif = Image.Exif()
    for tag in (0x010E, 0x010F, 0x013B, 0x8298, 0x9C9B):  # description, make, artist, rights, title
        exif[tag] = f"{CANARY}-exif"
    picture, jpeg, png = Image.open(io.BytesIO(image)), io.BytesIO(), io.BytesIO()
    xmp = f"<x>{CANARY}-xmp</x>".encode()
    picture.save(jpeg, "JPEG", exif=exif, comment=f"{CANARY}-comment", xmp=xmp)
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_itxt("Patient", f"{CANARY}-text")
    picture.save(png, "PNG", pnginfo=text, exif=exif)
    return {"jpeg": jpeg.getvalue(), "png": png.getvalue()}


HEADERS = {
    name: f"{CANARY} {name}"
    for name in (
        *("user-agent", "referer", "x-request-id", "cookie", "origin", "x-forwarded-for"),
        *("forwarded", "accept-language", "traceparent", "baggage", "from", "x-patient"),
    )
}


def leave_canaries(url: str, image: bytes) -> list[httpx.Response]:
    """Send valid, invalid and malformed requests with canaries in every field."""
    client = httpx.Client(base_url=url, headers=HEADERS, timeout=60)
    query = {"patient": f"{CANARY}-query"}
    responses = []
    for kind, data in marked(image).items():
        name, media = f"{CANARY}.{kind}", f"image/{kind}; name={CANARY}"
        for route in ("/classify", "/explain"):
            responses.append(client.post(route, params=query, files={"image": (name, data, media)}))
        responses.append(
            client.post("/differential", files=[("images", (name, data, media))] * 2, params=query)
        )
    for bad in (f"{CANARY} is no image".encode(), marked(image)["jpeg"][:3000]):
        client.post("/classify", files={"image": (f"{CANARY}.jpeg", bad)})
        client.post("/explain", files={"image": (f"{CANARY}.jpeg", bad)})
    client.post("/classify", files={CANARY: (CANARY, b"x", CANARY)})
    client.post("/classify", data={CANARY: CANARY})
    for kind in (f"multipart/form-data; boundary={CANARY}; charset={CANARY}", CANARY, "text/plain"):
        client.post("/classify", content=CANARY.encode(), headers={"content-type": kind})
    json_kind = {"content-type": f"application/json; charset={CANARY}"}
    for body in (CANARY, f'{{"image": "{CANARY}"}}', f'{{"{CANARY}": 1}}', f'"{CANARY}"', "{"):
        client.post("/predict", content=body.encode(), headers=json_kind, params=query)
        client.post("/train", content=body.encode(), headers=json_kind, params=query)
    for path in (f"/{CANARY}", f"/static/{CANARY}", f"/classify/{CANARY}", f"/model/?{CANARY}"):
        client.get(path)
        client.request("PROPFIND", path)
    client.get("/model", headers={"x-api-key": CANARY, "authorization": f"Basic {CANARY}"})
    client.close()
    leave_broken_http(url)
    return responses


def leave_broken_http(url: str) -> None:
    """Bytes that are not HTTP, a WebSocket request, and a client that disconnects early."""
    address = ("127.0.0.1", httpx.URL(url).port or 0)
    begun = f"POST /classify?{CANARY} HTTP/1.1\r\nHost: {CANARY}\r\nContent-Length: 100\r\n"
    begun += f"Content-Type: multipart/form-data; boundary={CANARY}\r\n\r\n{CANARY}"
    websocket = f"GET /classify?{CANARY} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    websocket += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    websocket += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    for text in (
        websocket,
        f"{CANARY} / HTTP/1.1\r\n\r\n",
        f"GET /{CANARY} HTTP/9.9\r\n{CANARY}\r\n\r\n",
        begun,
    ):
        with socket.create_connection(address, timeout=10) as response:
            response.sendall(text.encode())
            response.settimeout(1)
            with suppress(TimeoutError):
                response.recv(1000)


def test_no_text_of_a_client_or_an_image_is_stored(
    served: tuple[str, Path], keys: Path, cell_image: Callable[..., bytes]
) -> None:
    """Canaries in EXIF, comments, names, queries, paths, bodies and headers are in no file."""
    url, folder = served
    responses = leave_canaries(url, cell_image(3))
    assert [response.status_code for response in responses] == [200] * 6
    api_key_file.add(keys, "lab-1")
    assert httpx.get(f"{url}/model", headers={"x-api-key": CANARY}).status_code == 401
    keys.unlink()
    metrics = httpx.get(f"{url}/metrics").text
    assert CANARY.lower() not in metrics.lower()
    for response in responses:
        assert CANARY.encode() not in response.content
    stored = folder / "store" / "logs"
    last = httpx.post(f"{url}/classify", files={"image": ("x", cell_image(0))}).json()["request_id"]
    wait_for(lambda: any(last in path.read_text() for path in stored.rglob("*.jsonl")))
    wait_for(lambda: access_lines(folder)[-1]["request_id"] == last)
    routes = {line["route"] for line in access_lines(folder)}
    assert routes >= {"/classify", "/explain", "/differential", "/predict", "/train", "other"}
    assert {line["method"] for line in access_lines(folder)} >= {"GET", "POST", "other"}
    found = [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if CANARY.lower() in path.name.lower()
        or (path.is_file() and CANARY.lower().encode() in path.read_bytes().lower())
    ]
    assert not found


def test_a_disconnected_client_does_not_delay_shutdown(
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> None:
    """An incomplete body ends its request at once, not after BentoML's timeout of two minutes."""
    with serve(tmp_path, make_stage(tmp_path / "store").root) as url:
        leave_broken_http(url)
        wait_for(lambda: access_lines(tmp_path)[-1]["status"] == 499)
        left = time.monotonic()
    assert time.monotonic() - left < 15


def test_the_access_log_is_the_only_one(served: tuple[str, Path]) -> None:
    """One line per response, ours; the service's own messages are logged as well."""
    url, folder = served
    before = (folder / "service.log").read_text()
    assert "loading blood_cells:" in before
    assert "serving blood_cells:" in before
    assert "no key is required" in before
    for _ in range(3):
        httpx.get(f"{url}/livez")
    wait_for(lambda: len((folder / "service.log").read_text()) > len(before))
    time.sleep(0.3)
    new = (folder / "service.log").read_text()[len(before) :].splitlines()
    requests = [json.loads(line) for line in new if line.startswith('{"time"')]
    assert [(line["route"], line["status"]) for line in requests] == [("/livez", 200)] * 3
