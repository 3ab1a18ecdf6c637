"""Checks of the store: credentials, access, clock, and the pointer to the served model."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer, PointerStore
from pipeline.adapters.storage import ObjectStore, S3Store, UriStore
from pipeline.artifacts import ServedManifest
from pipeline.doctor.finding import Finding, Subject, note, ok, problem, unreachable
from pipeline.doctor.machine import existing
from pipeline.errors import (
    ArtifactError,
    BucketError,
    ConflictError,
    InvalidInputError,
    PipelineError,
    UnreachableError,
)
from pipeline.http.client import open_client
from pipeline.settings import EMBEDDED_STORE_URI, Settings, bucket_of

MAX_SKEW_S = 300
"""S3 refuses requests whose time differs by more than 900 s."""
_TIMEOUT_S = 5
_NOTHING = "nothing can be trained, promoted or served, and predictions are not logged"


def store(subject: Subject) -> Iterator[Finding]:
    """Whether STORE_URI names a store that exists and that these credentials can read and write."""
    uri = subject.settings.store_uri
    if not uri:
        value = f"STORE_URI is not set; `make up` uses {EMBEDDED_STORE_URI} of the embedded store"
        yield note("store", value)
    elif bucket_of(uri):
        yield from _bucket(subject, uri)
    elif urlsplit(uri).scheme in ("", "file"):
        yield _folder(uri)
    else:
        action = "set STORE_URI to s3://bucket[/prefix], or to a local folder"
        yield problem("store", f"STORE_URI is {uri}, which names no store", _NOTHING, action)


def credentials(subject: Subject) -> Iterator[Finding]:
    """Whether temporary AWS keys have their session token."""
    settings, environment = subject.settings, subject.environment
    key = environment.get("AWS_ACCESS_KEY_ID", "").strip()
    if settings.aws_access_key_id or not bucket_of(settings.store_uri):
        return  # generated keys of the embedded store, or no S3
    if key.startswith("ASIA") and not environment.get("AWS_SESSION_TOKEN", "").strip():
        value = "AWS_ACCESS_KEY_ID is a temporary key, and AWS_SESSION_TOKEN is not set"
        meaning = "S3 refuses every request: InvalidAccessKeyId or InvalidToken"
        action = "export AWS_SESSION_TOKEN with the two keys, or use AWS_PROFILE"
        yield problem("credentials", value, meaning, action)


def clock(subject: Subject) -> Iterator[Finding]:
    """The difference of this machine's clock from that of S3, by the Date of a response."""
    settings = subject.settings
    if not bucket_of(settings.store_uri):
        return
    url = settings.aws_endpoint_url_s3 or "https://s3.amazonaws.com"
    try:
        with open_client(url, timeout=_TIMEOUT_S) as client:
            date = client.get("/").headers.get("date", "")
    except (httpx.HTTPError, InvalidInputError):
        return  # `store` reports a store that does not respond
    skew = seconds_ahead(date, datetime.now(UTC))
    if skew is None:
        return
    if abs(skew) <= MAX_SKEW_S:
        yield ok("clock", f"{abs(skew):.0f} s from that of {url}")
        return
    yield problem(
        "clock",
        f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} that of {url}",
        "S3 refuses requests that are 900 s off: RequestTimeTooSkewed",
        "set the clock of this machine by NTP (`timedatectl set-ntp true`), or that of the store",
    )


def seconds_ahead(date: str, now: datetime) -> float | None:
    """Seconds by which `now` is ahead of an HTTP date; None if it is no date."""
    try:
        return (now - parsedate_to_datetime(date).astimezone(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None


def pointer(subject: Subject) -> Iterator[Finding]:
    """Whether the pointer of MODEL_NAME can be read, and its bundle is complete."""
    settings = subject.settings
    if urlsplit(settings.store_uri).scheme not in ("", "file", "s3") or not settings.store_uri:
        return
    objects = UriStore(settings, fail_fast=True)
    try:
        current = PointerStore(objects, settings.store_uri, settings.model_name).read()
        yield _served(current, ArtifactStore(objects, settings.store_uri), settings)
    except UnreachableError:
        return  # `store` reports it
    except ArtifactError as error:
        meaning = "the service keeps the model that it has loaded, and loads none after a restart"
        action = "restore the object, or `leukoflow rollback`; `leukoflow history` has the moves"
        yield problem("pointer", str(error), meaning, action)


def _served(current: Pointer | None, store: ArtifactStore, settings: Settings) -> Finding:
    """The pointer's bundle; raises ArtifactError if it is damaged."""
    if current is None:
        return _not_promoted(store, settings)
    served = store.open(current.served, ServedManifest)
    present = {info.uri for info in store.objects.list(f"{served.uri}/")}
    missing = sorted(
        name for name in served.manifest.files if f"{served.uri}/{name}" not in present
    )
    if missing:
        raise ArtifactError(
            f"{served.uri} lacks files of {current.tag}", received=", ".join(missing)
        )
    return ok("pointer", f"{current.tag} (move {current.sequence})")


def _not_promoted(store: ArtifactStore, settings: Settings) -> Finding:
    """No pointer: nothing was promoted, or MODEL_NAME is another than that of the models."""
    name, prefix = settings.model_name, f"{store.root}/pointer/"
    others = {
        info.uri.removeprefix(prefix).partition("/")[0] for info in store.objects.list(prefix)
    }
    if not others:
        return note("pointer", f"no model named {name} was promoted yet", "train one: `make demo`")
    return problem(
        "pointer",
        f"no model named {name} was promoted; the store has {', '.join(sorted(others))}",
        "the service has no model to serve",
        "set MODEL_NAME to one of these, or train and promote a model of this name",
    )


def _folder(uri: str) -> Finding:
    """A local store: whether its folder, or the nearest existing parent, can be written."""
    folder = existing(Path(uri.removeprefix("file://")).absolute())
    if not os.access(folder, os.W_OK | os.X_OK):
        action = "make it writable for this user, or set STORE_URI to another folder"
        return problem("store", f"{folder} cannot be written", _NOTHING, action)
    return ok("store", f"{uri}, a local folder")


def _bucket(subject: Subject, uri: str) -> Iterator[Finding]:
    """A bucket: asks it for its list, because only a GET says why it refuses."""
    endpoint = subject.settings.aws_endpoint_url_s3
    where = f"{uri} at {endpoint}" if endpoint else uri
    s3 = S3Store(subject.settings, fail_fast=True)
    try:
        next(iter(s3.list(f"{uri.rstrip('/')}/pointer/")), None)
        _require_writable(s3, f"{uri.rstrip('/')}/.doctor")
    except BucketError as error:
        yield problem("store", error.message, _NOTHING, f"needed: {error.expected}")
    except UnreachableError as error:
        # A stack that is down, whose address is in stack.env, is no problem of the machine.
        if subject.expects("store_uri") or subject.expects("aws_endpoint_url_s3"):
            action = "check AWS_ENDPOINT_URL_S3, the network and the proxies"
            reason = f"{where} is unreachable: {error.message}"
            yield unreachable("store", reason, _NOTHING, action)
        else:
            yield note("store", f"{where} is unreachable", "`make up` starts the embedded store")
    except PipelineError as error:
        yield problem("store", str(error), _NOTHING, "correct STORE_URI")
    else:
        yield ok("store", where)


def _require_writable(objects: ObjectStore, uri: str) -> None:
    """Raise BucketError if writing is denied; the condition keeps the object from being written."""
    try:
        objects.write(uri, b"", if_match='"leukoflow-doctor"')
    except (ConflictError, ArtifactError):
        return
