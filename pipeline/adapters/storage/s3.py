"""Objects in S3, through boto3."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from pipeline.adapters.storage.protocol import ObjectInfo
from pipeline.adapters.storage.s3_errors import no_bucket, split_s3, translated
from pipeline.errors import MissingArtifactError
from pipeline.http.proxies import is_loopback
from pipeline.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_EMBEDDED_REGION = "us-east-1"
_CONNECTIONS = 32
"""Concurrent transfers, each of which may send parts in parallel."""


def _connect(settings: Settings, *, fail_fast: bool) -> "S3Client":
    """boto3 client with the embedded store's keys, else boto3's credential chain; sends nothing.

    The chain: environment (with AWS_SESSION_TOKEN), web identity, profile, container and instance
    role.
    """
    embedded = settings.aws_access_key_id != ""
    session = boto3.session.Session(
        aws_access_key_id=settings.aws_access_key_id or None,
        aws_secret_access_key=settings.aws_secret_access_key.get_secret_value() or None,
        region_name=settings.aws_region or (_EMBEDDED_REGION if embedded else None),
    )
    return session.client(
        "s3",
        endpoint_url=settings.aws_endpoint_url_s3 or None,
        config=Config(
            retries={"max_attempts": 2 if fail_fast else 4, "mode": "standard"},
            connect_timeout=2 if fail_fast else 5,
            read_timeout=5 if fail_fast else 60,
            max_pool_connections=_CONNECTIONS,
            proxies=_proxies(settings.aws_endpoint_url_s3),
            s3={"addressing_style": "path"} if settings.aws_endpoint_url_s3 else {},
        ),
    )


def _proxies(endpoint: str) -> dict[str, str] | None:
    """No proxies for a loopback endpoint; None: those of the environment."""
    return {} if is_loopback(urlsplit(endpoint).hostname or "") else None


class S3Store:
    """`ObjectStore` in Amazon S3 or a compatible store; connects on first use."""

    def __init__(self, settings: Settings, *, fail_fast: bool = False) -> None:
        """Keep address and credentials; the first call connects.

        Args:
            settings: address and credentials.
            fail_fast: give up on an unresponsive store after seconds, not minutes; for a caller
                with its own retries, such as the service.
        """
        self._settings = settings
        self._fail_fast = fail_fast
        self._verified_buckets: set[str] = set()
        """Buckets that `require_bucket` has seen."""

    @cached_property
    def _client(self) -> "S3Client":
        return _connect(self._settings, fail_fast=self._fail_fast)

    def require_bucket(self, uri: str) -> None:
        """Raise BucketError unless the bucket exists and access is allowed; asks S3 once.

        Raises:
            UnreachableError: when the store does not respond.
        """
        bucket = split_s3(uri)[0]
        if bucket in self._verified_buckets:
            return
        try:
            with translated(uri):
                self._client.head_bucket(Bucket=bucket)
        except MissingArtifactError as error:  # a HEAD response has a status without a code
            raise no_bucket(uri) from error
        self._verified_buckets.add(bucket)

    def read(self, uri: str) -> bytes:
        """The object's content; MissingArtifactError when it does not exist."""
        stored = self.read_tagged(uri)
        if stored is None:
            raise MissingArtifactError("no such object", received=uri)
        return stored[0]

    def read_tagged(self, uri: str) -> tuple[bytes, str] | None:
        bucket, key = split_s3(uri)
        try:
            with translated(uri):
                response = self._client.get_object(Bucket=bucket, Key=key)
                return response["Body"].read(), response["ETag"]
        except MissingArtifactError:
            return None

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        """Write atomically and return the ETag; ConflictError when a condition fails."""
        bucket, key = split_s3(uri)
        condition: dict[str, Any] = {}
        if if_match is not None:
            condition["IfMatch"] = if_match
        if if_absent:
            condition["IfNoneMatch"] = "*"
        with translated(uri):
            return self._client.put_object(Bucket=bucket, Key=key, Body=data, **condition)["ETag"]

    def upload(self, path: Path, uri: str) -> None:
        bucket, key = split_s3(uri)
        with translated(uri):
            self._client.upload_file(str(path), bucket, key)

    def download(self, uri: str, path: Path) -> None:
        """Copy an object to `path`, and make its folders; MissingArtifactError if there is none."""
        bucket, key = split_s3(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with translated(uri):
                self._client.download_file(bucket, key, str(path))
        except MissingArtifactError:
            self.require_bucket(uri)  # the 404 of a HEAD may mean object or bucket
            raise

    def stat(self, uri: str) -> ObjectInfo | None:
        """Metadata of one object; None when it does not exist."""
        bucket, key = split_s3(uri)
        try:
            with translated(uri):
                head = self._client.head_object(Bucket=bucket, Key=key)
        except MissingArtifactError:
            self.require_bucket(uri)  # the 404 of a HEAD may mean object or bucket
            return None
        return ObjectInfo(uri, head["ContentLength"], head["ETag"], head["LastModified"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        bucket, key = split_s3(prefix)
        with translated(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=key
            )
            for page in pages:
                for item in page.get("Contents", []):
                    uri = f"s3://{bucket}/{item['Key']}"
                    yield ObjectInfo(uri, item["Size"], item["ETag"], item["LastModified"])
