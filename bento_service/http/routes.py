"""The routes that BentoML does not shape: the page, the replaced application's, and the model's."""

import base64
import binascii
import hmac
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from bento_service import metrics
from bento_service.http import errors
from bento_service.http.errors import Refusal
from bento_service.http.schemas import (
    Differential,
    FeedbackRequest,
    FeedbackTaken,
    LegacyPrediction,
    LegacyRequest,
    ModelCard,
    TrainRequest,
    TrainStarted,
)
from pipeline.dag_ids import TRAINING
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from bento_service.serving import Serving

PAGE = Path(__file__).parents[1] / "page"


def create_app() -> FastAPI:
    """The app that the service mounts at `/`; its `state.serving` is set when a worker starts."""
    app = FastAPI(title="Leukoflow", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route("/", _page, methods=["GET"], include_in_schema=False)
    app.add_api_route("/metrics", _metrics, methods=["GET"], include_in_schema=False)
    app.add_api_route("/model", _model, methods=["GET"])
    app.add_api_route("/differential", _differential, methods=["POST"])
    app.add_api_route("/predict", _predict, methods=["POST"])
    app.add_api_route("/feedback", _feedback, methods=["POST"], status_code=202)
    app.add_api_route("/train", _train, methods=["POST"], status_code=202)
    app.mount("/static", StaticFiles(directory=PAGE), name="static")
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


def _serving(request: Request) -> "Serving":
    serving: Serving = request.app.state.serving
    return serving


async def _page() -> FileResponse:
    return FileResponse(PAGE / "index.html")


def _metrics() -> Response:
    return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


async def _model(request: Request) -> ModelCard:
    """Contract, tag, digest, metrics, lineage and limits of use of the served model."""
    return _serving(request).card()


async def _differential(request: Request) -> Differential:
    """Counts, percentages with exact 95 % intervals, and how many answers need a person."""
    state = request.state
    return await _serving(request).differential(state.files, request_id=state.request_id)


async def _predict(body: LegacyRequest, request: Request) -> list[LegacyPrediction]:
    """The replaced application's contract: a base64 image in, its class out."""
    image = _decoded(body.image)
    answer = await _serving(request).classify(
        image, route="/predict", request_id=request.state.request_id
    )
    return [LegacyPrediction(image=answer.label)]


def _feedback(body: FeedbackRequest, request: Request) -> FeedbackTaken:
    """Return the label that a person gave to an answered image."""
    return _serving(request).feedback(body)


def _train(
    body: TrainRequest, request: Request, x_api_key: Annotated[str, Header()] = ""
) -> TrainStarted:
    """Ask Airflow for a training run."""
    # Airflow's client is needed here alone; a service that never trains never loads it.
    from pipeline.adapters.airflow import AirflowClient

    settings = _serving(request).settings
    key = settings.train_api_key.get_secret_value()
    if not key or not hmac.compare_digest(x_api_key.encode(), key.encode()):
        raise Refusal(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "training may be started only with the key",
            expected="the key in X-API-Key",
            received="another key" if x_api_key else "no key",
        )
    try:
        form = {"reason": body.reason, "config": settings.run_config}
        run = AirflowClient(settings).trigger(TRAINING, form)
    except PipelineError as error:
        raise errors.of_pipeline_error(error) from error
    return TrainStarted(run_id=run.run_id, url=run.url)


def _decoded(text: str) -> bytes:
    try:
        # Many encoders wrap lines; everything else outside the alphabet is an error.
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_base64",
            "the image is not base64",
            expected="a JPEG or PNG as base64",
            received=str(error),
        ) from error


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.response()


async def _invalid(_: Request, error: Exception) -> Response:
    """FastAPI's own refusals, without the input that it would repeat."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        return Refusal(
            HTTPStatus.BAD_REQUEST, "bad_json", "the body is not JSON", received=where
        ).response()
    return Refusal(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_input",
        "the body does not fit",
        expected=str(first["msg"]),
        received=f"at {where}",
    ).response()
