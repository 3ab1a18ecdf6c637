"""Credentials sent to S3, and errors of missing and denied buckets."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.adapters.storage import S3Store
from pipeline.doctor import store as doctor_store
from pipeline.doctor.finding import Subject
from pipeline.errors import BucketError
from pipeline.settings import STACK_ENV_FILE, Settings, load_settings
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.integration
URI = "s3://mine/pointer/demo/pointer.json"
ROLE = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>
<SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-token</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


class Listener(ThreadingHTTPServer):
    """S3 and STS on loopback, which record requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: dict[tuple[str, str], int] = {}
        """Status by method and path; default 200."""
        self.s3: list[dict[str, str]] = []
        self.sts: list[str] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def respond(self) -> None:
        """Respond with a role's credentials, or with an object and the status of the path."""
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if self.command == "POST" and b"AssumeRoleWithWebIdentity" in body:
            self.server.sts.append(body.decode())
            self._send(200, ROLE.encode())
            return
        self.server.s3.append({name.lower(): value for name, value in self.headers.items()})
        path = self.path.partition("?")[0]
        status = self.server.statuses.get((self.command, path), 200)
        code = {403: "AccessDenied", 404: "NoSuchKey"}.get(status)
        self._send(status, f"<Error><Code>{code}</Code></Error>".encode() if code else b"content")

    do_GET = do_HEAD = do_PUT = do_POST = respond  # noqa: N815 - names of the standard library

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Fri, 27 Nov 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Listener]:
    """The listener as AWS_ENDPOINT_URL_S3; no other AWS variable is set."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with Listener() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("STORE_URI", "s3://mine")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield server
        server.shutdown()


def read() -> None:
    """Read an object with the settings of this environment, as commands do."""
    assert S3Store(load_settings(), fail_fast=True).read(URI) == b"content"


@pytest.mark.field("session_token")
def test_a_session_token_in_the_environment_is_sent(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 refuses the keys of OIDC, SSO and assumed roles without their token."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-token")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    read()
    (headers,) = listener.s3
    assert headers["x-amz-security-token"] == "session-token"
    assert "Credential=ASIAENV/" in headers["authorization"]
    assert "/eu-central-1/s3/" in headers["authorization"]


def test_a_profile_is_used(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AWS_PROFILE selects keys, token and region in a configuration file."""
    (tmp_path / "config").write_text(
        "[profile lab]\nregion = eu-west-3\naws_access_key_id = ASIAPROFILE\n"
        "aws_secret_access_key = secret\naws_session_token = profile-token\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    read()
    assert listener.s3[0]["x-amz-security-token"] == "profile-token"
    assert "Credential=ASIAPROFILE/" in listener.s3[0]["authorization"]
    assert "/eu-west-3/s3/" in listener.s3[0]["authorization"]


def test_a_web_identity_is_exchanged_for_a_role(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A token of GitHub or a cluster is exchanged for a role's credentials."""
    (tmp_path / "token").write_text("oidc-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/image")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", listener.url)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    read()
    assert "oidc-token" in listener.sts[0]
    assert listener.s3[0]["x-amz-security-token"] == "role-token"


def test_generated_keys_are_sent_to_no_other_store(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another endpoint than the stack's gets the caller's keys, or no request."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / STACK_ENV_FILE).write_text(
        "AWS_ENDPOINT_URL_S3='http://127.0.0.1:8333'\n"
        "AWS_ACCESS_KEY_ID='generated'\nAWS_SECRET_ACCESS_KEY='generated-secret'\n"
    )
    with pytest.raises(BucketError, match="no AWS credentials for bucket mine"):
        read()
    assert listener.s3 == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMINE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    read()
    assert "Credential=AKIAMINE/" in listener.s3[0]["authorization"]


def test_an_unknown_profile_is_named(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has one line, not boto3's traceback."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(BucketError, match="nobody"):
        read()
    assert listener.s3 == []


Call = Callable[[S3Store, Path], object]
CALLS: dict[str, Call] = {
    "read": lambda store, _: store.read(URI),
    "read_tagged": lambda store, _: store.read_tagged(URI),
    "stat": lambda store, _: store.stat(URI),
    "write": lambda store, _: store.write(URI, b"x", if_absent=True),
    "list": lambda store, _: list(store.list("s3://mine/pointer/")),
    "download": lambda store, folder: store.download(URI, folder / "down"),
    "upload": lambda store, _: store.upload(Path(__file__), URI),
}


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.mark.parametrize("name", CALLS)
def test_a_denied_bucket_is_an_error_with_its_name(
    listener: Listener, keys: None, tmp_path: Path, name: str
) -> None:
    """A 403 is not a missing object, even if a HEAD response has no code."""
    path = "/" + URI.removeprefix("s3://")
    for method in ("GET", "HEAD", "PUT"):
        listener.statuses[method, path] = listener.statuses[method, "/mine"] = 403
    with pytest.raises(BucketError, match=r"access to bucket mine is denied \(403\)"):
        CALLS[name](S3Store(load_settings(), fail_fast=True), tmp_path)


def test_a_404_of_head_is_resolved_by_the_bucket(listener: Listener, keys: None) -> None:
    """It means a missing object if the bucket exists, else a missing bucket."""
    store = S3Store(load_settings(), fail_fast=True)
    listener.statuses["HEAD", "/" + URI.removeprefix("s3://")] = 404
    listener.statuses["HEAD", "/mine"] = 404
    with pytest.raises(BucketError, match="bucket mine does not exist"):
        store.stat(URI)
    listener.statuses["HEAD", "/mine"] = 200
    assert store.stat(URI) is None


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("write", "upload")])
def test_a_missing_bucket_of_a_real_store_is_an_error(
    seaweed: Settings, tmp_path: Path, name: str
) -> None:
    """SeaweedFS creates a bucket on the first write; other operations name the missing bucket."""
    with pytest.raises(BucketError, match="bucket mine does not exist"):
        CALLS[name](S3Store(seaweed), tmp_path)


def test_a_missing_object_of_a_real_bucket_is_none(seaweed: Settings) -> None:
    """Only this means that no model is promoted."""
    store = S3Store(seaweed)
    assert store.read_tagged("s3://leukoflow/none") is None
    assert store.stat("s3://leukoflow/none") is None


def test_wrong_keys_are_an_error_with_the_bucket(seaweed: Settings) -> None:
    """A real store rejects unknown keys."""
    wrong = seaweed.model_copy(update={"aws_access_key_id": "unknown"})
    with pytest.raises(BucketError, match="bucket leukoflow"):
        S3Store(wrong).read("s3://leukoflow/none")


def command(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `leukoflow` in this environment, changed by `variables`."""
    line = [sys.executable, "-m", "pipeline", *words]
    env = {name: value for name, value in (os.environ | variables).items() if value}
    return subprocess.run(line, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [("history",), ("rollback",), ("ingest",), ("repair",)])
def test_a_command_without_a_store_names_the_variable(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Exit code 2; no default bucket is tried."""
    done = command(*words, STORE_URI="", LEUKOFLOW_HOME=str(tmp_path / "none"))
    assert done.returncode == 2, done.stderr
    assert "STORE_URI is not set" in done.stderr


def on(seaweed: Settings, **more: str) -> dict[str, str]:
    """Variables of a process that uses `seaweed`."""
    return {
        "AWS_ENDPOINT_URL_S3": seaweed.aws_endpoint_url_s3,
        "AWS_ACCESS_KEY_ID": seaweed.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": seaweed.aws_secret_access_key.get_secret_value(),
        **more,
    }


def test_a_command_names_a_missing_bucket(seaweed: Settings, tmp_path: Path) -> None:
    """Not a missing promotion."""
    home = str(tmp_path / "none")
    done = command("history", **on(seaweed, STORE_URI="s3://gone", LEUKOFLOW_HOME=home))
    assert done.returncode == 2
    assert "bucket gone does not exist" in done.stderr
    assert "no model" not in done.stdout


@pytest.mark.parametrize(
    ("uri", "text", "result"),
    [
        ("s3://leukoflow/a", "s3://leukoflow/a", "ok"),
        ("s3://gone", "bucket gone does not exist", "problem"),
        ("", "STORE_URI is not set", "note"),
        ("folder", "folder, a local folder", "ok"),
    ],
)
def test_the_doctor_checks_the_store(seaweed: Settings, uri: str, text: str, result: str) -> None:
    """A bucket that cannot be used is reported before the stack starts; nothing is written."""
    subject = Subject(seaweed.model_copy(update={"store_uri": uri}), {})
    (store,) = doctor_store.store(subject)
    assert text in store.value
    assert store.state == result
    assert S3Store(seaweed).stat("s3://leukoflow/a/.doctor") is None
    assert {clock.state for clock in doctor_store.clock(subject)} <= {"ok"}


def test_a_service_names_a_missing_bucket(
    seaweed: Settings, tmp_path: Path, serve: Callable[..., AbstractContextManager[str]]
) -> None:
    """Live, not ready, and 503 `store_unreadable`; never `no_model`."""
    with serve(tmp_path, Path(), **on(seaweed, STORE_URI="s3://gone")) as url:
        wait_for(lambda: problem(httpx.get(f"{url}/readyz"))["code"] == "store_unreadable")
        assert httpx.get(f"{url}/livez").status_code == 200
        for response in (httpx.get(f"{url}/readyz"), httpx.get(f"{url}/model")):
            assert response.status_code == 503
            assert problem(response)["code"] == "store_unreadable"
            assert problem(response)["message"] == "bucket gone does not exist"
    assert "bucket gone does not exist" in (tmp_path / "service.log").read_text()


def problem(response: httpx.Response) -> dict[str, Any]:
    """The error of a response."""
    error: dict[str, Any] = response.json()["error"]
    return error
