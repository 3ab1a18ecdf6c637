"""Hostile and faulty requests to a real BentoML process."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.service.asking import answers, error_of, worker_of
from tests.integration.service.hostile import JSON, everything
from tests.integration.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROUNDS = 4
MAX_GROWTH = 100_000_000


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> Iterator[tuple[str, Path]]:
    """URL of a service with a model, and its own folder for temporary files."""
    folder = tmp_path_factory.mktemp("hostile")
    stage = make_stage(folder / "store")
    stage.point_to(stage.publish(folder / "first"))
    temporary = folder / "temporary"
    temporary.mkdir()
    with serve(folder, stage.root, TMPDIR=str(temporary), BODY_SECONDS="2") as url:
        wait_for(lambda: answers(f"{url}/readyz"))
        yield url, temporary


def send(client: httpx.Client, parts: dict[str, Any]) -> int:
    """Send one request and check the format of an error; returns the status."""
    parts = {"method": "POST", "path": "/classify", **parts}
    answer = client.request(parts.pop("method"), parts.pop("path"), **parts)
    if answer.status_code != 200:
        error = error_of(answer)
        assert error["message"]
        assert error["expected"] or error["received"]
    return answer.status_code


def test_a_clients_mistake_is_never_a_500(
    served: tuple[str, Path], cell_image: Callable[..., bytes]
) -> None:
    """Invalid and unusual requests get their status and leave no temporary files."""
    url, temporary = served
    requests = everything(cell_image(0))
    assert len(requests) >= 80
    expected = {name: status for name, (status, _) in requests.items()}
    before = sorted(temporary.rglob("*"))
    worker, memory = worker_of(url), []
    with httpx.Client(base_url=url, timeout=60) as client:
        for _ in range(ROUNDS):
            assert {name: send(client, parts) for name, (_, parts) in requests.items()} == expected
            memory.append(worker.memory_info().rss)
    assert memory[-1] - memory[0] < MAX_GROWTH
    assert sorted(temporary.rglob("*")) == before
    assert answers(f"{url}/readyz")


def test_urls_in_place_of_files_are_never_fetched(served: tuple[str, Path]) -> None:
    """200 concurrent requests with a URL, in five ways, cause no connection to it."""
    url = f"{served[0]}/classify"
    with (
        socket.create_server(("127.0.0.1", 0), backlog=300) as listener,
        httpx.Client(timeout=60, limits=httpx.Limits(max_connections=200)) as client,
        ThreadPoolExecutor(200) as pool,
    ):
        target = f"http://127.0.0.1:{listener.getsockname()[1]}/cell.png"
        ways: list[tuple[str, dict[str, Any]]] = [
            (url, {"files": {"image": (None, target)}}),
            (url, {"json": {"image": target}}),
            (url, {"data": {"image": target}}),
            (url, {"content": target.encode()}),
            (f"{url}%0a", {"files": {"image": (None, target)}}),
        ]
        futures = [
            pool.submit(lambda way: client.post(way[0], **way[1]), ways[n % 5]) for n in range(200)
        ]
        statuses = [one.result().status_code for one in futures]
        assert {statuses[n] for n in range(0, 200, 5)} == {400}
        assert all(400 <= status < 500 for status in statuses)
        listener.settimeout(0.5)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_large_bodies_are_refused_both_ways(served: tuple[str, Path]) -> None:
    """20 MB is the limit, with or without a length, and the 413 arrives."""
    host = served[0].removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(20_000_001))
    connection.endheaders()  # not one byte of the body is needed for the answer
    announced = connection.getresponse()
    assert announced.status == 413
    assert json.load(announced)["error"]["code"] == "body_too_large"
    chunks = (b"x" * 1_000_000 for _ in range(21))
    streamed = httpx.post(f"{served[0]}/predict", content=chunks, headers=JSON, timeout=30)
    assert streamed.status_code == 413
    assert error_of(streamed)["code"] == "body_too_large"


def test_a_slow_body_times_out(served: tuple[str, Path]) -> None:
    """408 after the body timeout, not at the end of the body."""

    def trickle() -> Iterator[bytes]:
        for _ in range(100):
            yield b" "
            time.sleep(0.1)

    begun = time.monotonic()
    answer = httpx.post(f"{served[0]}/predict", content=trickle(), headers=JSON, timeout=30)
    assert answer.status_code == 408
    assert error_of(answer)["expected"] == "the complete body within 2 seconds"
    assert 2 <= time.monotonic() - begun < 8


def test_a_bad_image_does_not_affect_others(
    served: tuple[str, Path], cell_image: Callable[..., bytes]
) -> None:
    """Eight good images next to a bad one get the same results as alone."""
    url = served[0]
    images = [cell_image(n % 4, shift=n) for n in range(8)]
    bad = images[0][: len(images[0]) // 2]

    def classify(image: bytes) -> httpx.Response:
        return httpx.post(f"{url}/classify", files={"image": ("x", image)}, timeout=60)

    alone = [classify(image).json()["probabilities"] for image in images]
    with ThreadPoolExecutor(9) as pool:
        responses = list(pool.map(classify, [*images[:4], bad, *images[4:]]))
    assert responses.pop(4).status_code == 422
    assert [answer.json()["probabilities"] for answer in responses] == alone
    files = [("images", ("x", image)) for image in [*images[:4], bad, *images[4:]]]
    counted = httpx.post(f"{url}/differential", files=files, timeout=60).json()
    assert [failure["index"] for failure in counted["failures"]] == [4]
    assert sum(share["count"] for share in counted["shares"]) == 8
