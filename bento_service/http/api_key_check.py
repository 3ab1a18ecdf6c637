"""API-key check of each request; the key file is read again whenever it changes."""

import contextlib
import hmac
import logging
import os
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers

from bento_service.http.errors import HttpError
from pipeline.adapters.api_key_file import ApiKey, digest, parse
from pipeline.errors import ArtifactError
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

PUBLIC_PATHS = frozenset({"/", "/livez", "/readyz", "/healthz", "/train"})
"""Paths without an API key: the page, health, and `/train`, which has a key of its own."""
PUBLIC_PREFIX = "/static/"


class ApiKeyFile:
    """The keys of one file, cached until the file changes."""

    def __init__(self, path: Path, *, required: bool) -> None:
        """Take the file's path; the file is read at the first call of `current`.

        Args:
            path: of the key file.
            required: whether a missing file denies access to everybody instead of granting it.
        """
        self._path = path
        self._required = required
        self._version: tuple[int, ...] | None = None
        self._keys: tuple[ApiKey, ...] | None = None
        self._readable = True
        self._last_message = ""

    def current(self) -> tuple[ApiKey, ...] | None:
        """The keys, read again if the file changed; None if a missing file grants access to all.

        Logs when the state of the file changes.

        Raises:
            HttpError: 503 when the file cannot be read.
        """
        try:
            self._refresh()
        except FileNotFoundError:
            self._keys, self._version, self._readable = None, None, not self._required
            access = "access is denied" if self._required else "no key is required"
            self._log(logging.INFO, f"{self._path} does not exist: {access}")
        except OSError as error:  # may be temporary, so the version is forgotten
            self._version, self._readable = None, False
            self._log(logging.ERROR, f"access is denied, {self._path}: {error.strerror}")
        if not self._readable:
            raise _unreadable()
        return self._keys

    def _refresh(self) -> None:
        """Read the file if it changed; an invalid one denies access; logs; raises OSError."""
        if self._version == _version(self._path.stat()):
            return
        with self._path.open("rb") as file:
            self._version = _version(os.fstat(file.fileno()))
            text = file.read()
        try:
            self._keys, self._readable = parse(text), True
            self._log(logging.INFO, f"{self._path} lists {len(self._keys)}")
        except ArtifactError as error:
            self._readable = False
            self._log(logging.ERROR, f"access is denied, {self._path}: {error}")

    def _log(self, level: int, message: str) -> None:
        """Log a message unless it repeats the previous one."""
        if message != self._last_message:
            logger.log(level, "API keys: %s", message)
        self._last_message = message


class ApiKeyCheck:
    """Decides whether a request has a valid API key; without a key file every request passes."""

    def __init__(
        self, keys: ApiKeyFile | None = None, public_paths: frozenset[str] = frozenset()
    ) -> None:
        """Take the key file and paths that need no key besides `PUBLIC_PATHS`; logs its state."""
        self._keys = keys
        self._public = PUBLIC_PATHS | public_paths
        if self._keys:
            with contextlib.suppress(HttpError):  # already logged
                self._keys.current()

    @classmethod
    def of(cls, settings: Settings) -> "ApiKeyCheck":
        """The check that the settings describe."""
        optional = (("/metrics", settings.open_metrics), ("/docs.json", settings.open_docs))
        keys = ApiKeyFile(settings.keys_file, required=settings.api_keys_file is not None)
        return cls(keys, frozenset(path for path, is_open in optional if is_open))

    @property
    def required(self) -> bool:
        """Whether requests need a key, also if the file is unreadable; rereads a changed file."""
        try:
            return self._keys is not None and self._keys.current() is not None
        except HttpError:
            return True

    def is_public(self, path: str) -> bool:
        """Whether a path never needs a key."""
        return path in self._public or path.startswith(PUBLIC_PREFIX)

    def authenticate(self, path: str, headers: Headers) -> str:
        """The name of the request's key, '' where none is required; else HttpError.

        Raises:
            HttpError: 401 without a listed key, 503 when the key file cannot be read.
        """
        if self._keys is None or self.is_public(path):
            return ""
        keys = self._keys.current()
        if keys is None:
            return ""
        received = _key_of(headers)
        name = _owner(received, keys)
        if not name:
            raise _unauthorized(received)
        return name


def _version(stat: os.stat_result) -> tuple[int, ...]:
    """Values that change whenever the file or its permissions change."""
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def _key_of(headers: Headers) -> str:
    """The key in X-API-Key, else in Authorization: Bearer; empty without one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key", "") or (token.strip() if scheme.lower() == "bearer" else "")


def _owner(received: str, keys: tuple[ApiKey, ...]) -> str:
    """Name of the matching key, '' without one; constant-time comparison with every key."""
    hashed = digest(received)
    return "".join([key.name for key in keys if hmac.compare_digest(key.sha256, hashed)][:1])


def _unauthorized(received: str) -> HttpError:
    """401: no key, or one that is not listed."""
    return HttpError(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        "this route requires an API key",
        expected="a listed key in X-API-Key, or as Authorization: Bearer",
        received="a key that is not listed" if received else "no key",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _unreadable() -> HttpError:
    """503: the key file cannot be read."""
    return HttpError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "keys_unreadable",
        "the API key file cannot be read, so access is denied; see the service log",
        expected="a file written by `leukoflow keys`",
    )
