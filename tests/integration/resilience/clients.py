"""Clients that send requests without pause and record the responses."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby

import httpx


def counted(url: str, series: str) -> float:
    """Value of a series in the metrics of a service."""
    lines = httpx.get(f"{url}/metrics", timeout=30).text.splitlines()
    (line,) = (line for line in lines if line.startswith(f"{series} "))
    return float(line.split()[-1])


@dataclass
class Clients:
    """Responses to each client in order: status and tag, or the error."""

    responses: list[list[tuple[int | str, str]]] = field(default_factory=list)

    @property
    def failures(self) -> list[tuple[int | str, str]]:
        """All responses but 200."""
        return [answer for mine in self.responses for answer in mine if answer[0] != 200]

    @property
    def requests(self) -> int:
        """Number of responses of any status."""
        return sum(map(len, self.responses))

    def tags(self) -> list[list[str]]:
        """Sequence of different tags that each client saw."""
        return [[tag for tag, _ in groupby(tag for _, tag in mine)] for mine in self.responses]

    def all_see(self, tag: str) -> bool:
        """Whether the last response to every client has this tag."""
        return all(mine and mine[-1][1] == tag for mine in self.responses)


@contextmanager
def sending(url: str, image: bytes, count: int = 8) -> Iterator[Clients]:
    """Run `count` clients that post an image to /classify in a loop."""
    clients = Clients([[] for _ in range(count)])
    stop = threading.Event()
    threads = [
        threading.Thread(target=_send, args=(url, image, mine, stop)) for mine in clients.responses
    ]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _send(
    url: str, image: bytes, responses: list[tuple[int | str, str]], stop: threading.Event
) -> None:
    with httpx.Client(timeout=30) as client:
        while not stop.is_set():
            try:
                answer = client.post(f"{url}/classify", files={"image": ("x", image)})
                responses.append((answer.status_code, answer.json().get("tag", "")))
            except httpx.HTTPError as error:
                responses.append((repr(error), ""))
