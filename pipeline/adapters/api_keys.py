"""The file of API keys: who may call the service, without the keys themselves.

A key is 32 random bytes, so one round of SHA-256 hides it: salts and slow hashes make guessing dear
where people choose the secret, and nobody guesses 256 bits.
"""

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
"""A key's name stands in the access log."""


class ApiKey(Frozen):
    """Somebody who may call."""

    name: Annotated[str, Field(pattern=NAME)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the key; in hexadecimal."""
    created: AwareDatetime


_KEYS = TypeAdapter(tuple[ApiKey, ...])


def digest(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def parse(text: bytes) -> tuple[ApiKey, ...]:
    """What a file of keys says.

    Raises:
        ArtifactError: when it is no list of keys; the text, which nobody may see, is not shown.
    """
    try:
        return _KEYS.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ArtifactError(
            "the file of API keys is damaged",
            expected="a JSON list of {name, sha256, created}, as `leukoflow keys add` writes it",
            received=f"{first['msg']} at {'.'.join(map(str, first['loc'])) or 'the top'}",
        ) from None


def read(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file; none when there is no such file."""
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        return ()


def add(path: Path, name: str) -> str:
    """Let somebody call; returns the key, which is kept nowhere.

    Raises:
        InvalidInputError: when the name is not a plain word, or is taken.
        ArtifactError: when the file is damaged.
    """
    if not re.fullmatch(NAME, name):
        raise InvalidInputError(
            "a key needs a name that is a plain word",
            expected="1 to 64 letters, digits, dots, dashes or underscores",
            received=repr(name),
        )
    with _locked(path):
        keys = read(path)
        if any(key.name == name for key in keys):
            raise InvalidInputError(
                f"there is a key named {name!r}", expected="another name, or `keys revoke` first"
            )
        key = secrets.token_urlsafe(32)
        added = ApiKey(name=name, sha256=digest(key), created=datetime.now(UTC))
        _write(path, [*keys, added])
    return key


def revoke(path: Path, name: str) -> int:
    """Let somebody call no more; returns how many keys are left.

    Raises:
        InvalidInputError: when there is no key of that name.
        ArtifactError: when the file is damaged.
    """
    with _locked(path):
        keys = read(path)
        left = [key for key in keys if key.name != name]
        if len(left) == len(keys):
            raise InvalidInputError(
                f"there is no key named {name!r}",
                expected=" or ".join(key.name for key in keys) or "a key that was added",
            )
        _write(path, left)
    return len(left)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One change at a time: two at once would bring a revoked key back."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.with_name(f".{path.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, keys: Sequence[ApiKey]) -> None:
    """Replace the file whole; a new one only its owner reads, another keeps who may read it."""
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "wb") as stream:
        if path.exists():
            before = path.stat()
            if os.geteuid() == 0:  # an administrator, of a list that the service's user owns
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
        stream.write(_KEYS.dump_json(tuple(keys), indent=2) + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    Path(part).replace(path)
