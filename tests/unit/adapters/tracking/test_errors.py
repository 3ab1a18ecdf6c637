"""Errors of MLflow's client as ours: down is unreachable, a refusal has its true reason."""

import errno
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ErrorCode
from requests import ConnectionError as RequestsConnectionError
from requests import HTTPError, Response

from pipeline.adapters.tracking.errors import errors
from pipeline.errors import TrackingError, UnreachableError

URI = "http://mlflow.test:5000"


def _status(status: int) -> HTTPError:
    response = Response()
    response.status_code = status
    return HTTPError(f"{status} for url", response=response)


def _rest(code: str, message: str = "no") -> MlflowException:
    return MlflowException(message, error_code=ErrorCode.Value(code))


def _response(status: str, body: str, code: str) -> MlflowException:
    text = f"API request to endpoint /api failed with error code {status} != 200. Response: {body}"
    return MlflowException(text, error_code=ErrorCode.Value(code))


@pytest.mark.field("deleted_experiment")
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            _rest("INVALID_PARAMETER_VALUE", "The run x ... Current state is deleted.\n\nA lesson"),
            "current state is deleted; expected an active run",
        ),
        (_rest("ENDPOINT_NOT_FOUND"), "of this client's version"),
        (_rest("PERMISSION_DENIED"), "MLFLOW_TRACKING_TOKEN"),
        (_response("401", "log in", "UNAUTHENTICATED"), "MLFLOW_TRACKING_USERNAME"),
        (
            _response("403", "Invalid Host header", "PERMISSION_DENIED"),
            "MLFLOW_SERVER_ALLOWED_HOSTS",
        ),
        (_response("302", "", "INTERNAL_ERROR"), "it is redirected"),
        (_response("404", "<html>", "ENDPOINT_NOT_FOUND"), "of this client's version"),
        (
            MlflowException("was successful but the response body was not in a valid JSON format"),
            "another program responds",
        ),
        (_status(403), "MLFLOW_TRACKING_TOKEN"),
        (PermissionError(errno.EACCES, "denied", "/gone"), "artefact location"),
        (FileNotFoundError(errno.ENOENT, "no such file", "/gone"), "artefact location"),
        (EndpointConnectionError(endpoint_url="http://s3.test"), "artefact location"),
    ],
)
def test_a_refusal_says_why_and_what_to_do(error: Exception, words: str) -> None:
    """It is never called unreachable, and ends with exit code 2: no retry helps."""
    with pytest.raises(TrackingError) as refused, errors(URI):
        raise error
    assert words.lower() in str(refused.value).lower()
    assert URI in str(refused.value)
    assert "lesson" not in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "error",
    [
        MlflowException("API request failed with exception: connection refused"),
        _rest("TEMPORARILY_UNAVAILABLE"),
        _status(502),
        RequestsConnectionError("refused"),
    ],
)
def test_a_server_that_is_down_is_unreachable(error: Exception) -> None:
    """A retry may succeed: exit code 3."""
    with pytest.raises(UnreachableError, match=URI) as failed, errors(URI):
        raise error
    assert failed.value.exit_code == 3


def test_a_full_disk_is_not_an_error_of_mlflow(tmp_path: Path) -> None:
    """The command line says what to free."""
    full = OSError(errno.ENOSPC, "no space left", str(tmp_path))
    with pytest.raises(OSError, match="no space left") as raised, errors(URI):
        raise full
    assert raised.value is full
