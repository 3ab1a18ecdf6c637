"""Objects by URI: S3 through boto3, or a local folder with the same promises.

Both give compare-and-set writes: `if_match` an ETag, or `if_absent`. The ETag of a single-part
object is the MD5 of its content, so a pointer that returns to an earlier content has its earlier
ETag: whoever compares must carry a sequence number.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.errors import ArtifactError, ConflictError, UnreachableError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONNECTIONS = 32
"""Several transfers at once, each of which may send its parts in parallel."""
_MISSING = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}
_LOST = {"412", "409", "PreconditionFailed", "ConditionalRequestConflict"}


@dataclass(frozen=True)
class ObjectInfo:
    """What a listing tells of one object."""

    uri: str
    size: int
    etag: str
    modified: datetime


class ObjectStore(Protocol):
    """What steps need of a store."""

    def read(self, uri: str) -> bytes:
        """The object's content; ArtifactError when there is none."""
        ...

    def read_tagged(self, uri: str) -> tuple[bytes, str] | None:
        """Content and ETag, or None when there is no such object."""
        ...

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        """Write whole or not at all and return the ETag; ConflictError when a condition fails."""
        ...

    def upload(self, path: Path, uri: str) -> None:
        """Copy a local file to an object."""
        ...

    def download(self, uri: str, path: Path) -> None:
        """Copy an object to a local file; ArtifactError when there is none."""
        ...

    def stat(self, uri: str) -> ObjectInfo | None:
        """Size, ETag and time of one object, or None."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose URI starts with `prefix`, in order of URI."""
        ...


def split_s3(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` URI."""
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise ArtifactError("not an S3 URI", expected="s3://bucket/key", received=uri)
    return parts.netloc, uri[len(f"s3://{parts.netloc}/") :]


@contextmanager
def _errors(uri: str) -> Iterator[None]:
    """Translate boto3's errors into ours."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _MISSING:
            raise ArtifactError("no such object", received=uri) from error
        if code in _LOST:
            raise ConflictError(f"{uri} was changed by somebody else") from error
        raise UnreachableError(f"S3 refused {uri}: {error}") from error
    except BotoCoreError as error:
        raise UnreachableError(f"S3 does not answer for {uri}: {error}") from error


class S3Store:
    """Amazon S3 or anything that speaks it."""

    def __init__(self, settings: Settings) -> None:
        self._client: S3Client = boto3.client(
            "s3",
            endpoint_url=settings.aws_endpoint_url_s3 or None,
            aws_access_key_id=settings.aws_access_key_id or None,
            aws_secret_access_key=settings.aws_secret_access_key.get_secret_value() or None,
            region_name=settings.aws_region,
            config=Config(
                retries={"max_attempts": 4, "mode": "standard"},
                connect_timeout=5,
                read_timeout=60,
                max_pool_connections=_CONNECTIONS,
                s3={"addressing_style": "path"} if settings.aws_endpoint_url_s3 else {},
            ),
        )

    def read(self, uri: str) -> bytes:
        found = self.read_tagged(uri)
        if found is None:
            raise ArtifactError("no such object", received=uri)
        return found[0]

    def read_tagged(self, uri: str) -> tuple[bytes, str] | None:
        bucket, key = split_s3(uri)
        try:
            with _errors(uri):
                answer = self._client.get_object(Bucket=bucket, Key=key)
                return answer["Body"].read(), answer["ETag"]
        except ArtifactError:
            return None

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        bucket, key = split_s3(uri)
        condition: dict[str, Any] = {}
        if if_match is not None:
            condition["IfMatch"] = if_match
        if if_absent:
            condition["IfNoneMatch"] = "*"
        with _errors(uri):
            return self._client.put_object(Bucket=bucket, Key=key, Body=data, **condition)["ETag"]

    def upload(self, path: Path, uri: str) -> None:
        bucket, key = split_s3(uri)
        with _errors(uri):
            self._client.upload_file(str(path), bucket, key)

    def download(self, uri: str, path: Path) -> None:
        bucket, key = split_s3(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _errors(uri):
            self._client.download_file(bucket, key, str(path))

    def stat(self, uri: str) -> ObjectInfo | None:
        bucket, key = split_s3(uri)
        try:
            with _errors(uri):
                head = self._client.head_object(Bucket=bucket, Key=key)
        except ArtifactError:
            return None
        return ObjectInfo(uri, head["ContentLength"], head["ETag"], head["LastModified"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        bucket, key = split_s3(prefix)
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        with _errors(prefix):
            for page in pages:
                for item in page.get("Contents", []):
                    uri = f"s3://{bucket}/{item['Key']}"
                    yield ObjectInfo(uri, item["Size"], item["ETag"], item["LastModified"])


class LocalStore:
    """Plain files with the same promises, for work without a stack."""

    def read(self, uri: str) -> bytes:
        path = _path(uri)
        if not path.is_file():
            raise ArtifactError("no such file", received=uri)
        return path.read_bytes()

    def read_tagged(self, uri: str) -> tuple[bytes, str] | None:
        path = _path(uri)
        if not path.is_file():
            return None
        data = path.read_bytes()
        return data, _etag(data)

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        path = _path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            if if_absent and path.exists():
                raise ConflictError(f"{uri} is already there")
            if if_match is not None and (not path.exists() or _etag(path.read_bytes()) != if_match):
                raise ConflictError(f"{uri} was changed by somebody else")
            _replace(path, data)
        return _etag(data)

    def upload(self, path: Path, uri: str) -> None:
        target = _path(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as part:
            with path.open("rb") as source:
                shutil.copyfileobj(source, part)
            part.flush()
            os.fsync(part.fileno())
        Path(part.name).replace(target)

    def download(self, uri: str, path: Path) -> None:
        if not _path(uri).is_file():
            raise ArtifactError("no such file", received=uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_path(uri), path)

    def stat(self, uri: str) -> ObjectInfo | None:
        path = _path(uri)
        if not path.is_file():
            return None
        facts = path.stat()
        modified = datetime.fromtimestamp(facts.st_mtime, UTC)
        return ObjectInfo(uri, facts.st_size, _etag(path.read_bytes()), modified)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        # A Path forgets the final slash that tells `a/` from `a` and `ab`.
        start = str(_path(prefix)) + ("/" if prefix.endswith("/") else "")
        folder = Path(start) if start.endswith("/") else Path(start).parent
        for path in sorted(map(str, folder.rglob("*"))):
            hidden = Path(path).name.startswith(".")
            info = None if hidden or not path.startswith(start) else self.stat(path)
            if info is not None:
                yield info


class UriStore:
    """The store that each URI names: S3 for `s3://`, local files for everything else."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._local = LocalStore()
        self._s3: S3Store | None = None

    def _of(self, uri: str) -> ObjectStore:
        if not uri.startswith("s3://"):
            return self._local
        if self._s3 is None:
            self._s3 = S3Store(self._settings)
        return self._s3

    def read(self, uri: str) -> bytes:
        return self._of(uri).read(uri)

    def read_tagged(self, uri: str) -> tuple[bytes, str] | None:
        return self._of(uri).read_tagged(uri)

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        return self._of(uri).write(uri, data, if_match=if_match, if_absent=if_absent)

    def upload(self, path: Path, uri: str) -> None:
        self._of(uri).upload(path, uri)

    def download(self, uri: str, path: Path) -> None:
        self._of(uri).download(uri, path)

    def stat(self, uri: str) -> ObjectInfo | None:
        return self._of(uri).stat(uri)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._of(prefix).list(prefix)


def _path(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _replace(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as part:
        part.write(data)
        part.flush()
        os.fsync(part.fileno())
    Path(part.name).replace(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
