"""The one shape in which the service says no."""

from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import JSONResponse

from pipeline.errors import InvalidInputError, PipelineError, UnreachableError


class ErrorDetail(BaseModel):
    """What is wrong, what was expected, what was received."""

    model_config = ConfigDict(frozen=True)

    code: str
    """A word a program can act on, such as `no_model`."""
    message: str
    expected: str = ""
    received: str = ""
    request_id: str = ""


class ErrorBody(BaseModel):
    """The body of every response with a status of 400 or more."""

    model_config = ConfigDict(frozen=True)

    error: ErrorDetail


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a fault
    """A request that is answered with an error body."""

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
        """The answer; the guard adds the request id."""
        body = ErrorBody(error=self.detail).model_dump()
        return JSONResponse(body, self.status, headers=self.headers)


def no_model() -> Refusal:
    """Nothing was promoted yet, or what was promoted could not be loaded."""
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "no_model",
        "no model is served yet",
        expected="a promoted model",
        headers={"Retry-After": "5"},
    )


def store_unreadable(error: UnreachableError) -> Refusal:
    """Whether there is a model is not known: the store does not answer, or its bucket refuses."""
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "store_unreadable",
        error.message,
        expected=error.expected,
        received=error.received,
        headers={"Retry-After": "5"},
    )


def no_store() -> Refusal:
    """A label that could be kept nowhere."""
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "no_store",
        "this service has no store: predictions are not logged and labels are not kept",
        expected="STORE_URI in the service's environment",
    )


def busy() -> Refusal:
    """More requests are waiting than can be answered in time."""
    return Refusal(
        HTTPStatus.TOO_MANY_REQUESTS,
        "busy",
        "too many requests are waiting",
        expected="another try after the pause in Retry-After",
        headers={"Retry-After": "1"},
    )


GIVEN_UP = 499
"""What nginx's logs call a request whose sender left; no sender ever reads it."""


def given_up() -> Refusal:
    """The sender left before the body was complete."""
    return Refusal(GIVEN_UP, "given_up", "the sender left in the middle of the body")


def too_slow(seconds: float) -> Refusal:
    """Work went on for longer than anybody waits."""
    return Refusal(
        HTTPStatus.GATEWAY_TIMEOUT,
        "timeout",
        "the answer took too long",
        expected=f"an answer within {seconds:g} seconds",
    )


def no_class(label: str, classes: tuple[str, ...]) -> Refusal:
    """A label that the served model could never answer."""
    return Refusal(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "unknown_label",
        "the label is no class of the served model",
        expected=", ".join(classes),
        received=label,
    )


def not_written() -> Refusal:
    """There was no room for what had to be written down."""
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "not_written",
        "the label could not be written down; see the service's log",
        expected="room on the service's disk",
        headers={"Retry-After": "60"},
    )


def of_pipeline_error(error: PipelineError) -> Refusal:
    """An expected failure as an answer: bad input is the caller's, the rest is the stack's."""
    if isinstance(error, InvalidInputError):
        status, code = HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_image"
    elif isinstance(error, UnreachableError):
        status, code = HTTPStatus.SERVICE_UNAVAILABLE, "unreachable"
    else:
        status, code = HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error"
    return Refusal(status, code, error.message, expected=error.expected, received=error.received)


_PLAIN: dict[int, tuple[str, str]] = {
    400: ("bad_request", "the request cannot be understood"),
    404: ("not_found", "there is no such route"),
    405: ("method_not_allowed", "the route does not answer this method"),
    415: ("unsupported_media_type", "the body is of a kind that is not accepted"),
    422: ("invalid_input", "the body does not fit"),
    429: ("busy", "too many requests are waiting"),
    503: ("not_ready", "no model is served yet"),
    504: ("timeout", "the answer took too long"),
}


def of_status(status: int, *, expected: str, received: str) -> ErrorDetail:
    """What to say when somebody else's code refused with only a status."""
    code, message = _PLAIN.get(status, ("internal_error", "the service failed; see its log"))
    return ErrorDetail(code=code, message=message, expected=expected, received=received)


def parse(body: bytes) -> ErrorDetail | None:
    """The detail of a body that already has our shape, else None."""
    try:
        return ErrorBody.model_validate_json(body).error
    except ValidationError:
        return None
