"""The file of the service's API keys: a name and a SHA-256 digest per key, not the key itself.

A key is 32 random bytes, so one round of SHA-256 suffices: salts and slow hashes protect secrets
that people choose, and 256 random bits cannot be guessed.
"""

import codecs
import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from pipeline.errors import ArtifactError, InvalidInputError
from pipeline.records import Frozen

NAME = r"^[A-Za-z0-9._-]{1,64}$"
"""Pattern of a key's name, which appears in the access log."""


class ApiKey(Frozen):
    """One API key, by the digest of its secret."""

    name: Annotated[str, Field(pattern=NAME)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Digest of the key, as hex."""
    created: AwareDatetime


_KEYS = TypeAdapter(tuple[ApiKey, ...])


def digest(key: str) -> str:
    """SHA-256 of a key, as hex: the part that is stored."""
    return hashlib.sha256(key.encode()).hexdigest()


def parse(text: bytes) -> tuple[ApiKey, ...]:
    """The keys in the text of a key file; ArtifactError, without the text, if it is damaged."""
    try:
        return _KEYS.validate_json(text.removeprefix(codecs.BOM_UTF8))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ArtifactError(
            "the file of API keys is damaged",
            expected="a JSON list of {name, sha256, created}, as `leukoflow keys add` writes it",
            received=f"{first['msg']} at {'.'.join(map(str, first['loc'])) or 'the top'}",
        ) from None


def read(path: Path) -> tuple[ApiKey, ...]:
    """The keys in a file, none if it does not exist; ArtifactError if it is damaged."""
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        return ()


def add(path: Path, name: str) -> str:
    """Create a key, store its digest under a name, and return the key.

    Raises:
        InvalidInputError: when the name has other characters or is taken.
        ArtifactError: when the file is damaged.
    """
    if not re.fullmatch(NAME, name):
        raise InvalidInputError(
            "invalid name of a key",
            expected="1 to 64 letters, digits, dots, dashes or underscores",
            received=repr(name),
        )
    with _locked(path):
        keys = read(path)
        if any(key.name == name for key in keys):
            raise InvalidInputError(
                f"a key named {name!r} exists", expected="another name, or `keys revoke` first"
            )
        key = secrets.token_urlsafe(32)
        added = ApiKey(name=name, sha256=digest(key), created=datetime.now(UTC))
        _write(path, [*keys, added])
    return key


def revoke(path: Path, name: str) -> int:
    """Remove a key from the file; returns the number of remaining keys.

    Raises:
        InvalidInputError: when there is no key of that name.
        ArtifactError: when the file is damaged.
    """
    with _locked(path):
        keys = read(path)
        remaining = [key for key in keys if key.name != name]
        if len(remaining) == len(keys):
            raise InvalidInputError(
                f"there is no key named {name!r}",
                expected=" or ".join(key.name for key in keys) or "an existing key",
            )
        _write(path, remaining)
    return len(remaining)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Serialise changes, waiting for others: two concurrent ones could restore a revoked key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.with_name(f".{path.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, keys: Sequence[ApiKey]) -> None:
    """Replace the file atomically; a new file is readable by its owner only, else modes stay."""
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "wb") as stream:
        if path.exists():
            before = path.stat()
            if os.geteuid() == 0:  # root changes a file that the service's user owns
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
        stream.write(_KEYS.dump_json(tuple(keys), indent=2) + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    Path(part).replace(path)
