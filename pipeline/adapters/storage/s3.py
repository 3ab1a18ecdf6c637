"""Objects in S3, through boto3."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.adapters.storage.protocol import ObjectInfo
from pipeline.errors import (
    ArtifactError,
    ConflictError,
    MissingArtifactError,
    UnreachableError,
)
from pipeline.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONNECTIONS = 32
"""Several transfers at once, each of which may send its parts in parallel."""
_MISSING = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}
_LOST = {"412", "409", "PreconditionFailed", "ConditionalRequestConflict"}


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
            raise MissingArtifactError("no such object", received=uri) from error
        if code in _LOST:
            raise ConflictError(f"{uri} was changed by somebody else") from error
        raise UnreachableError(f"S3 refused {uri}: {error}") from error
    except (BotoCoreError, Boto3Error) as error:
        raise UnreachableError(f"S3 does not answer for {uri}: {error}") from error


class S3Store:
    """Amazon S3 or anything that speaks it."""

    def __init__(self, settings: Settings, *, hurried: bool = False) -> None:
        """Connect as the settings say.

        Args:
            settings: address and credentials.
            hurried: give a store that is silent up after seconds, not minutes: for a caller that
                asks again by itself, as the service does.
        """
        self._client: S3Client = boto3.client(
            "s3",
            endpoint_url=settings.aws_endpoint_url_s3 or None,
            aws_access_key_id=settings.aws_access_key_id or None,
            aws_secret_access_key=settings.aws_secret_access_key.get_secret_value() or None,
            region_name=settings.aws_region,
            config=Config(
                retries={"max_attempts": 2 if hurried else 4, "mode": "standard"},
                connect_timeout=2 if hurried else 5,
                read_timeout=5 if hurried else 60,
                max_pool_connections=_CONNECTIONS,
                s3={"addressing_style": "path"} if settings.aws_endpoint_url_s3 else {},
            ),
        )

    def read(self, uri: str) -> bytes:
        found = self.read_tagged(uri)
        if found is None:
            raise MissingArtifactError("no such object", received=uri)
        return found[0]

    def read_tagged(self, uri: str) -> tuple[bytes, str] | None:
        bucket, key = split_s3(uri)
        try:
            with _errors(uri):
                answer = self._client.get_object(Bucket=bucket, Key=key)
                return answer["Body"].read(), answer["ETag"]
        except MissingArtifactError:
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
        except MissingArtifactError:
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
