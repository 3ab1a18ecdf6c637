"""Errors of the HTTP API: one JSON body for every status of 400 and above."""

from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import JSONResponse

from pipeline.contract.class_names import did_you_mean
from pipeline.errors import InvalidInputError, PipelineError, UnreachableError


class ErrorDetail(BaseModel):
    """Error code, message, expected and received value, request id."""

    model_config = ConfigDict(frozen=True)

    code: str
    """Machine-readable word such as `no_model`."""
    message: str
    expected: str = ""
    received: str = ""
    request_id: str = ""


class ErrorBody(BaseModel):
    """Body of every response with a status of 400 and above."""

    model_config = ConfigDict(frozen=True)

    error: ErrorDetail


class HttpError(Exception):
    """A request that gets an error response."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        expected: str = "",
        received: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.detail = ErrorDetail(code=code, message=message, expected=expected, received=received)

    def response(self) -> JSONResponse:
        """The error response; the middleware adds the request id."""
        body = ErrorBody(error=self.detail).model_dump()
        return JSONResponse(body, self.status, headers=self.headers)


def no_model() -> HttpError:
    """503: no model was promoted yet, or the promoted one could not be loaded."""
    return HttpError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "no_model",
        "no model is served yet",
        expected="a promoted model",
        headers={"Retry-After": "5"},
    )


def store_unreadable(error: UnreachableError) -> HttpError:
    """503: the store is unreachable or denies access, so the pointer is unknown."""
    return HttpError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "store_unreadable",
        error.message,
        expected=error.expected,
        received=error.received,
        headers={"Retry-After": "5"},
    )


def no_store() -> HttpError:
    """503: feedback needs a store."""
    return HttpError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "no_store",
        "this service has no store: predictions are not logged and labels are not stored",
        expected="STORE_URI in the service's environment",
    )


def busy() -> HttpError:
    """429: the work queue or the memory for bodies is full."""
    return HttpError(
        HTTPStatus.TOO_MANY_REQUESTS,
        "busy",
        "too many requests are waiting",
        expected="a retry after the seconds in Retry-After",
        headers={"Retry-After": "1"},
    )


def too_many_connections() -> HttpError:
    """503: a request runs on each of `MAX_CONNECTIONS`; closes the connection."""
    return HttpError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "too_many_connections",
        "the service has too many open connections",
        expected="a retry after the seconds in Retry-After",
        headers={"Retry-After": "1", "Connection": "close"},
    )


def unsupported_media_type(message: str, *, expected: str, received: str) -> HttpError:
    """415: another content type or encoding than the route accepts."""
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"
    return HttpError(status, code, message, expected=expected, received=received[:100])


CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that disconnected; for the access log and the metrics only."""


def client_disconnected() -> HttpError:
    """499: the client disconnected before its body was complete."""
    return HttpError(CLIENT_CLOSED_REQUEST, "given_up", "the client disconnected during the body")


def timed_out(timeout_s: float) -> HttpError:
    """504: the work exceeded its timeout."""
    return HttpError(
        HTTPStatus.GATEWAY_TIMEOUT,
        "timeout",
        "the request timed out",
        expected=f"a response within {timeout_s:g} seconds",
    )


def unknown_label(label: str, classes: tuple[str, ...]) -> HttpError:
    """422: feedback with a label that is not a class of the served model."""
    question = did_you_mean(label, classes)
    return HttpError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "unknown_label",
        "the label is not a class of the served model" + (f": {question}" if question else ""),
        expected=", ".join(classes),
        received=label,
    )


def feedback_not_stored() -> HttpError:
    """503: the disk of the service is full."""
    return HttpError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "not_written",
        "the label could not be stored; see the service log",
        expected="free space on the service's disk",
        headers={"Retry-After": "60"},
    )


def airflow_refused(error: InvalidInputError) -> HttpError:
    """422: Airflow responded to the request for a training run with a status of 400 to 499."""
    return HttpError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "airflow_refused",
        error.message,
        expected=error.expected,
        received=error.received,
    )


def from_pipeline_error(error: PipelineError) -> HttpError:
    """422 for invalid input, 503 for an unreachable dependency, 500 for any other failure."""
    if isinstance(error, InvalidInputError):
        status, code = HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_image"
    elif isinstance(error, UnreachableError):
        status, code = HTTPStatus.SERVICE_UNAVAILABLE, "unreachable"
    else:
        status, code = HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error"
    return HttpError(status, code, error.message, expected=error.expected, received=error.received)


_BY_STATUS: dict[int, tuple[str, str]] = {
    400: ("bad_request", "the request or its body is malformed"),
    404: ("not_found", "no such route"),
    405: ("method_not_allowed", "the route does not support this method"),
    415: ("unsupported_media_type", "the route does not accept this content type"),
    422: ("invalid_input", "the body is invalid"),
    429: ("busy", "too many requests are waiting"),
    503: ("not_ready", "the service is not ready"),
    504: ("timeout", "the request timed out"),
}


def from_status(status: int, *, expected: str, received: str) -> ErrorDetail:
    """The detail for an error response of BentoML or Starlette, which has only a status."""
    failed = ("internal_error", "the service failed; see its log")
    rejected = ("bad_request", "the service does not accept this request")
    unknown = rejected if status < HTTPStatus.INTERNAL_SERVER_ERROR else failed
    code, message = _BY_STATUS.get(status, unknown)
    return ErrorDetail(code=code, message=message, expected=expected, received=received)


def parse(body: bytes) -> ErrorDetail | None:
    """The detail of a body that is an `ErrorBody` already, else None."""
    try:
        return ErrorBody.model_validate_json(body).error
    except ValidationError:
        return None
