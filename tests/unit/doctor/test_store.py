"""Checks of the store against a small HTTP server, and of the pointer in a local store."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.doctor import store
from pipeline.doctor.finding import Finding, Subject

if TYPE_CHECKING:
    from tests.conftest import Stage

Examined = Callable[..., Subject]
Respond = Callable[..., str]
EMPTY = (
    "<ListBucketResult><Name>cells</Name><KeyCount>0</KeyCount>"
    "<IsTruncated>false</IsTruncated></ListBucketResult>"
)
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}


def refusal(code: str) -> str:
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>"


def found(subject: Subject) -> Finding:
    (finding,) = store.store(subject)
    return finding


@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AccessDenied", "s3:ListBucket"),
        (404, "NoSuchBucket", "an existing bucket in STORE_URI"),
        (400, "ExpiredToken", "session token"),
        (403, "InvalidAccessKeyId", "valid keys"),
        (403, "RequestTimeTooSkewed", "a clock within 15 minutes"),
        (400, "AuthorizationHeaderMalformed", "AWS_REGION"),
        (301, "PermanentRedirect", "the address to which it redirects"),
    ],
)
def test_a_refusal_of_s3_has_its_reason(
    examined: Examined, respond: Respond, status: int, code: str, words: str
) -> None:
    """A problem of the input: exit code 2, and what is needed."""
    url = respond({"*": (status, refusal(code))})
    finding = found(examined(STORE_URI="s3://cells", AWS_ENDPOINT_URL_S3=url, **KEYS))
    assert (finding.state, finding.exit_code) == ("problem", 2)
    assert words in finding.action


@pytest.mark.enable_socket
def test_an_unreachable_store_is_exit_code_3_if_the_environment_names_it(
    examined: Examined,
) -> None:
    """A stack that is down, whose address is in its own file, is no problem."""
    subject = examined(STORE_URI="s3://cells", AWS_ENDPOINT_URL_S3="http://127.0.0.1:9", **KEYS)
    finding = found(subject)
    assert (finding.state, finding.exit_code) == ("problem", 3)
    assert "http://127.0.0.1:9" in finding.value
    assert found(Subject(subject.settings, {})).state == "note"


@pytest.mark.enable_socket
def test_a_bucket_that_can_be_read_but_not_written_is_a_problem(
    examined: Examined, respond: Respond
) -> None:
    """The list is allowed, the write is not; a store that allows both is fine."""
    readable = respond({"/cells": (200, EMPTY), "*": (403, refusal("AccessDenied"))})
    usable = respond({"/cells": (200, EMPTY), "*": (412, refusal("PreconditionFailed"))})
    for url, state in ((readable, "problem"), (usable, "ok")):
        subject = examined(STORE_URI="s3://cells", AWS_ENDPOINT_URL_S3=url, **KEYS)
        assert found(subject).state == state


def test_a_local_store_must_be_writable(
    examined: Examined, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An absent folder can be made; the doctor does not make it."""
    assert found(examined(STORE_URI=str(tmp_path / "store"))).state == "ok"
    assert not (tmp_path / "store").exists()
    assert found(examined()).state == "note"
    monkeypatch.setattr("os.access", lambda *_: False)
    assert found(examined(STORE_URI=str(tmp_path / "store"))).exit_code == 2


@pytest.mark.parametrize(
    ("uri", "endpoint", "words"),
    [
        ("gs://cells", "", "STORE_URI"),
        ("s3:///cells", "", "STORE_URI"),
        ("s3://No_Bucket!", "http://127.0.0.1:9", "STORE_URI"),
        ("s3://cells", "127.0.0.1:9", "AWS_ENDPOINT_URL_S3"),
        ("s3://cells", "http://127.0.0.1:99999", "AWS_ENDPOINT_URL_S3"),
    ],
)
def test_a_wrong_address_is_a_problem_of_the_input(
    examined: Examined, uri: str, endpoint: str, words: str
) -> None:
    """Nothing is sent; the variable is named in one line."""
    finding = found(examined(STORE_URI=uri, AWS_ENDPOINT_URL_S3=endpoint, **KEYS))
    assert (finding.state, finding.exit_code) == ("problem", 2)
    assert words in finding.action
    assert "\n" not in finding.value


def test_a_temporary_key_without_its_token_is_a_problem(examined: Examined) -> None:
    """AWS's temporary keys begin with ASIA."""
    variables = {**KEYS, "AWS_ACCESS_KEY_ID": "ASIA1", "STORE_URI": "s3://cells"}
    (finding,) = store.credentials(examined(**variables))
    assert "AWS_SESSION_TOKEN" in finding.action
    assert list(store.credentials(examined(**variables, AWS_SESSION_TOKEN="t"))) == []


@pytest.mark.enable_socket
@pytest.mark.parametrize(("ahead_s", "state"), [(0, "ok"), (-1200, "problem"), (1200, "problem")])
def test_the_clock_is_compared_with_the_date_of_s3(
    examined: Examined, respond: Respond, ahead_s: float, state: str
) -> None:
    """Also if S3 refuses the request."""
    url = respond({"*": (403, refusal("AccessDenied"))}, ahead_s)
    (clock,) = store.clock(examined(STORE_URI="s3://cells", AWS_ENDPOINT_URL_S3=url, **KEYS))
    assert clock.state == state
    if ahead_s:
        assert ("behind" if ahead_s > 0 else "ahead of") in clock.value


def test_a_date_that_is_none_has_no_difference() -> None:
    """A store need not send one."""
    now = datetime(2026, 11, 27, tzinfo=UTC)
    assert store.seconds_ahead("", now) is None
    assert store.seconds_ahead("Fri, 27 Nov 2026 00:00:10 GMT", now) == -10


def test_a_broken_pointer_is_a_problem(examined: Examined, stage: "Stage", tmp_path: Path) -> None:
    """A damaged object, a missing bundle, a file that is missing in it, another MODEL_NAME."""
    subject = examined(STORE_URI=str(stage.root))

    def pointer(subject: Subject) -> Finding:
        (finding,) = store.pointer(subject)
        return finding

    assert pointer(subject).state == "note"
    served = stage.publish(tmp_path / "bundle")
    stage.point_to(served)
    assert pointer(subject).state == "ok"
    other = pointer(examined(STORE_URI=str(stage.root), MODEL_NAME="other"))
    assert "the store has blood_cells" in other.value
    (Path(served.uri) / "model.bin").unlink()
    assert "lacks files" in pointer(subject).value
    (Path(served.uri) / "manifest.json").unlink()
    assert "does not exist" in pointer(subject).value
    (stage.root / "pointer/blood_cells/pointer.json").write_text("{")
    broken = pointer(subject)
    assert (broken.exit_code, "is damaged" in broken.value) == (2, True)
