"""Errors of MLflow's client as ours: unreachable, or refused with the reason and what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.errors import TrackingError, UnreachableError

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException

_MAY_PASS = {
    "INTERNAL_ERROR",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "TEMPORARILY_UNAVAILABLE",
}
"""Error codes of a server that is down, starting or overloaded; MLflow's client uses the first for
a failed connection. Any other code is a refusal."""
_FOREIGN = ("not in a valid JSON format", "failed with error code 3")
"""Parts of the client's message, with the code INTERNAL_ERROR, for a response that no MLflow
sends."""
_ADVICE = (
    ("Invalid Host header", "this address in MLFLOW_SERVER_ALLOWED_HOSTS of the MLflow server"),
    ("Cross-origin", "this address in MLFLOW_SERVER_CORS_ALLOWED_ORIGINS of the MLflow server"),
    ("state is deleted", "an active run and experiment: restore it on MLflow's page"),
    ("not in a valid JSON", "an MLflow server at MLFLOW_TRACKING_URI; another program responds"),
    ("failed with error code 3", "an MLflow server at MLFLOW_TRACKING_URI; it is redirected"),
)
"""Part of a message, and what is expected instead; the first that matches."""
_ACCESS = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


@contextmanager
def errors(uri: str) -> Iterator[None]:
    """Translate errors of MLflow's client in the block.

    Raises:
        UnreachableError: MLflow does not respond, or failed; a retry may succeed.
        TrackingError: MLflow refuses the request, or its artefact location cannot be written.
    """
    from mlflow.exceptions import MlflowException
    from requests import HTTPError, RequestException

    try:
        yield
    except MlflowException as error:
        raise _of_mlflow(uri, error) from error
    except HTTPError as error:
        status = 0 if error.response is None else error.response.status_code
        raise _of_status(uri, status, str(error)) from error
    except RequestException as error:
        raise UnreachableError(f"MLflow does not respond at {uri}: {error}") from error
    except (OSError, BotoCoreError, ClientError, Boto3Error) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise TrackingError(
            f"the artefact location of MLflow's experiment cannot be written: {error}",
            expected="a location that this process can write: restore it, or rename the "
            "experiment on MLflow's page, so that a new one is made",
            received=uri,
        ) from error


def _of_mlflow(uri: str, error: "MlflowException") -> UnreachableError:
    message = first_line(str(error))
    foreign = any(part in message for part in _FOREIGN)
    if error.error_code in _MAY_PASS and not foreign:
        return UnreachableError(f"MLflow failed at {uri}: {message}")
    return TrackingError(
        f"MLflow at {uri} refuses: {message}", expected=advice(error.error_code, message)
    )


def _of_status(uri: str, status: int, message: str) -> UnreachableError:
    """The error for an HTTP status of an upload, which MLflow's client does not translate."""
    if status >= 500:
        return UnreachableError(f"MLflow failed at {uri}: {first_line(message)}")
    code = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}.get(status, "")
    return TrackingError(
        f"MLflow at {uri} refuses: {first_line(message)}", expected=advice(code, message)
    )


def advice(code: str, message: str) -> str:
    """Text for `expected` of our error, by MLflow's error code and message; '' if unknown."""
    for part, expected in _ADVICE:
        if part in message:
            return expected
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return _ACCESS
    if code in ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "BAD_REQUEST"):
        return (
            f"an MLflow server at MLFLOW_TRACKING_URI, of this client's version {version('mlflow')}"
        )
    return ""


def first_line(message: str) -> str:
    """First line of an MLflow message without its full stop; explanations below are dropped."""
    return message.strip().partition("\n")[0].removesuffix(".")
