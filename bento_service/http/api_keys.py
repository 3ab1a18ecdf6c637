"""Who may call: API keys, looked at again whenever their file changes."""

import contextlib
import hmac
import logging
import os
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers

from bento_service.http.errors import Refusal
from pipeline.adapters.api_keys import ApiKey, digest, parse
from pipeline.errors import ArtifactError
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

OPEN = frozenset({"/", "/livez", "/readyz", "/healthz", "/train"})
"""Paths that ask for no API key: the page, health, and `/train`, which has a key of its own."""
OPEN_BELOW = "/static/"


class Keys:
    """The keys of one file."""

    def __init__(self, path: Path, *, required: bool) -> None:
        """Get ready to look.

        Args:
            path: of the list.
            required: whether a list that is not there lets nobody in.
        """
        self._path = path
        self._required = required
        self._seen: tuple[int, ...] | None = None
        self._keys: tuple[ApiKey, ...] | None = None
        self._readable = True
        self._said = ""

    def current(self) -> tuple[ApiKey, ...] | None:
        """The keys as the file has them now; None without a file: everybody may call.

        Raises:
            Refusal: 503 when the list cannot be read.
        """
        try:
            self._look()
        except FileNotFoundError:
            self._keys, self._seen, self._readable = None, None, not self._required
            who = "nobody is let in" if self._required else "everybody may call"
            self._say(logging.INFO, f"there is no {self._path}: {who}")
        except OSError as error:  # it may be readable in a moment: nothing is remembered
            self._seen, self._readable = None, False
            self._say(logging.ERROR, f"nobody is let in, {self._path}: {error.strerror}")
        if not self._readable:
            raise _closed()
        return self._keys

    def _look(self) -> None:
        if self._seen == _mark(self._path.stat()):
            return
        with self._path.open("rb") as file:
            self._seen = _mark(os.fstat(file.fileno()))
            text = file.read()
        try:
            self._keys, self._readable = parse(text), True
            self._say(logging.INFO, f"{self._path} lists {len(self._keys)}")
        except ArtifactError as error:
            self._readable = False
            self._say(logging.ERROR, f"nobody is let in, {self._path}: {error}")

    def _say(self, level: int, said: str) -> None:
        """Log what has changed, not what every request finds again."""
        if said != self._said:
            logger.log(level, "API keys: %s", said)
        self._said = said


class Door:
    """Says who may pass; without a list everybody may."""

    def __init__(self, keys: Keys | None = None, also_open: frozenset[str] = frozenset()) -> None:
        self._keys = keys
        self._open = OPEN | also_open
        if self._keys:
            with contextlib.suppress(Refusal):  # the log of a start says who may call
                self._keys.current()

    @classmethod
    def of(cls, settings: Settings) -> "Door":
        """The door that the settings describe."""
        published = (("/metrics", settings.open_metrics), ("/docs.json", settings.open_docs))
        keys = Keys(settings.keys_file, required=settings.api_keys_file is not None)
        return cls(keys, frozenset(path for path, is_open in published if is_open))

    @property
    def asks(self) -> bool:
        """Whether a key is asked for now."""
        try:
            return self._keys is not None and self._keys.current() is not None
        except Refusal:
            return True

    def is_open(self, path: str) -> bool:
        """Whether a path asks for no key, whoever may call the others."""
        return path in self._open or path.startswith(OPEN_BELOW)

    def admit(self, path: str, headers: Headers) -> str:
        """The name of the key that a request brings, empty where none is asked for.

        Raises:
            Refusal: 401 without a key that is listed, 503 when the list cannot be read.
        """
        if self._keys is None or self.is_open(path):
            return ""
        keys = self._keys.current()
        if keys is None:
            return ""
        given = _given(headers)
        name = _owner(given, keys)
        if not name:
            raise _unknown(given)
        return name


def _mark(stat: os.stat_result) -> tuple[int, ...]:
    """What changes whenever a file does, or the right to read it."""
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def _given(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key", "") or (token.strip() if scheme.lower() == "bearer" else "")


def _owner(given: str, keys: tuple[ApiKey, ...]) -> str:
    """Whose key it is; every key is compared, so that the time taken names nobody."""
    hashed = digest(given)
    return "".join([key.name for key in keys if hmac.compare_digest(key.sha256, hashed)][:1])


def _unknown(given: str) -> Refusal:
    return Refusal(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        "this route may be called only with an API key",
        expected="a key in X-API-Key, or as Authorization: Bearer",
        received="a key that is not listed" if given else "no key",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _closed() -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "keys_unreadable",
        "the list of API keys cannot be read, so nobody is let in; see the service's log",
        expected="a list that `leukoflow keys` wrote",
    )
