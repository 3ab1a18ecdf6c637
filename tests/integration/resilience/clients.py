"""Clients that ask one service without pause, and remember what it told them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby

import httpx


def counted(url: str, series: str) -> float:
    """The figure of a series in the metrics of a service."""
    lines = httpx.get(f"{url}/metrics", timeout=30).text.splitlines()
    (line,) = (line for line in lines if line.startswith(f"{series} "))
    return float(line.split()[-1])


@dataclass
class Clients:
    """What each of some clients was told, in order: status and tag, or the error."""

    told: list[list[tuple[int | str, str]]] = field(default_factory=list)

    @property
    def failures(self) -> list[tuple[int | str, str]]:
        """Everything but a 200."""
        return [answer for mine in self.told for answer in mine if answer[0] != 200]

    @property
    def requests(self) -> int:
        """How many answers came, of whatever kind."""
        return sum(map(len, self.told))

    def tags(self) -> list[list[str]]:
        """The tags that each client saw, without repetition."""
        return [[tag for tag, _ in groupby(tag for _, tag in mine)] for mine in self.told]

    def all_see(self, tag: str) -> bool:
        """Whether a model gave the last answer of every client."""
        return all(mine and mine[-1][1] == tag for mine in self.told)


@contextmanager
def asking(url: str, image: bytes, count: int = 8) -> Iterator[Clients]:
    """Let `count` clients post an image to /classify, each as soon as it was answered."""
    clients = Clients([[] for _ in range(count)])
    enough = threading.Event()
    threads = [
        threading.Thread(target=_ask, args=(url, image, mine, enough)) for mine in clients.told
    ]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def _ask(
    url: str, image: bytes, told: list[tuple[int | str, str]], enough: threading.Event
) -> None:
    with httpx.Client(timeout=30) as client:
        while not enough.is_set():
            try:
                answer = client.post(f"{url}/classify", files={"image": ("x", image)})
                told.append((answer.status_code, answer.json().get("tag", "")))
            except httpx.HTTPError as error:
                told.append((repr(error), ""))
