"""The file of the service's API keys: a name and a SHA-256 digest per key, not the key itself.

A key is 32 random bytes, so one round of SHA-256 suffices: salts and slow hashes protect secrets
that people choose, and 256 random bits cannot be guessed.
"""

import codecs
import re
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from pipeline.digests import sha256_bytes
from pipeline.errors import ArtifactError, InvalidInputError
from pipeline.records import Frozen

NAME = r"^[A-Za-z0-9._-]{1,64}$"
"""Pattern of a key's name, which appears in the access log."""


class ApiKey(Frozen):
    """Stored entry of an API key: name, SHA-256 digest and time of creation."""

    name: Annotated[str, Field(pattern=NAME)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Digest of the key, as hex."""
    created: AwareDatetime


_KEYS = TypeAdapter(tuple[ApiKey, ...])


def digest(key: str) -> str:
    """SHA-256 of an API key, as hex; the file stores it in place of the key."""
    return sha256_bytes(key.encode())


def parse(text: bytes) -> tuple[ApiKey, ...]:
    """Parse a key file; ArtifactError, which does not quote the file, if it is damaged."""
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


def _locked(path: Path) -> AbstractContextManager[None]:
    """Lock the key file during the block: concurrent changes could restore a revoked key."""
    from pipeline.adapters.storage.local import lock_file  # loads boto3, which no reader needs

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return lock_file(path.with_name(f".{path.name}.lock"))


def _write(path: Path, keys: Sequence[ApiKey]) -> None:
    """Replace the key file atomically; keeps mode and owner, or creates it with mode 600."""
    from pipeline.adapters.storage.local import replace_file

    replace_file(path, _KEYS.dump_json(tuple(keys), indent=2) + b"\n", keep_mode=True)
