"""FastAPI routes: the page, the model card, differentials, feedback, training, and `/predict`."""

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
from bento_service.http.base64_image import decode_image
from bento_service.http.errors import HttpError
from bento_service.http.openapi import error_responses, upload_body
from bento_service.http.schemas import (
    CountedDifferential,
    Differential,
    DifferentialCounts,
    FeedbackReceipt,
    FeedbackRequest,
    LegacyPrediction,
    LegacyRequest,
    ModelCard,
    TrainRequest,
    TrainStarted,
)
from pipeline.contract.files.file_policy import rules_as_json
from pipeline.dag_ids import TRAINING
from pipeline.errors import InvalidInputError, PipelineError

if TYPE_CHECKING:
    from bento_service.worker_state import WorkerState

PAGE = Path(__file__).parents[1] / "page"


def create_app() -> FastAPI:
    """The app that the service mounts at `/`; a worker sets its `state.serving` at start."""
    app = FastAPI(title="Leukoflow", docs_url=None, redoc_url=None, openapi_url=None)
    app.get("/", include_in_schema=False)(_page)
    app.get("/metrics", include_in_schema=False)(_metrics)
    app.get("/model", responses=error_responses(401, 503))(_model)
    responses = error_responses()
    files = {"requestBody": upload_body("/differential")}
    app.post("/differential", responses=responses, openapi_extra=files)(_differential)
    app.post("/differential/shares", responses=responses)(_shares)
    app.post("/predict", responses=responses)(_predict)
    app.post("/feedback", responses=responses, status_code=202)(_feedback)
    app.post("/train", responses=responses, status_code=202)(_train)
    app.get("/static/file-rules.json", include_in_schema=False)(rules_as_json)
    app.mount("/static", StaticFiles(directory=PAGE), name="static")
    app.add_exception_handler(HttpError, _error_response)
    app.add_exception_handler(RequestValidationError, _validation_error)
    return app


def _serving(request: Request) -> "WorkerState":
    """The state of this worker; AttributeError before the service has started."""
    serving: WorkerState = request.app.state.serving
    return serving


async def _page() -> FileResponse:
    return FileResponse(PAGE / "index.html")


def _metrics() -> Response:
    """All metrics as text for Prometheus."""
    return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


async def _model(request: Request) -> ModelCard:
    """Contract, tag, digest, metrics, lineage and limits of use of the served model."""
    return _serving(request).model_card()


async def _differential(request: Request) -> Differential:
    """Classify many images: counts, percentages with exact 95 % intervals, cells to review."""
    state = request.state
    return await _serving(request).differential(state.files, request_id=state.request_id)


def _shares(body: DifferentialCounts, request: Request) -> CountedDifferential:
    """Percentages with exact 95 % intervals of cells that were counted before; logs nothing."""
    return _serving(request).shares(body)


async def _predict(body: LegacyRequest, request: Request) -> list[LegacyPrediction]:
    """The replaced application's contract: a base64 image in, its class out; logged."""
    image = decode_image(body.image)
    result = await _serving(request).classify(
        image, route="/predict", request_id=request.state.request_id
    )
    return [LegacyPrediction(image=result.label)]


def _feedback(body: FeedbackRequest, request: Request) -> FeedbackReceipt:
    """Store the label that a person assigns to a classified image; its id is not checked."""
    return _serving(request).feedback(body)


def _train(
    body: TrainRequest, request: Request, x_api_key: Annotated[str, Header()] = ""
) -> TrainStarted:
    """Trigger a training run in Airflow, with `TRAIN_API_KEY` only; returns at once."""
    # Only this route needs Airflow's client.
    from pipeline.adapters.airflow import AirflowClient

    settings = _serving(request).settings
    key = settings.train_api_key.get_secret_value()
    if not key or not hmac.compare_digest(x_api_key.encode(), key.encode()):
        raise HttpError(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "training requires its own API key",
            expected="TRAIN_API_KEY in X-API-Key",
            received="another key" if x_api_key else "no key",
        )
    try:
        form = {"reason": body.reason, "config": settings.run_config}
        run = AirflowClient(settings).trigger(TRAINING, form)
    except InvalidInputError as error:
        raise errors.airflow_refused(error) from error
    except PipelineError as error:
        raise errors.from_pipeline_error(error) from error
    return TrainStarted(run_id=run.run_id, url=run.url)


async def _error_response(_: Request, error: Exception) -> Response:
    """The response of an HttpError that a route raised."""
    assert isinstance(error, HttpError)
    return error.response()


async def _validation_error(_: Request, error: Exception) -> Response:
    """The response for an invalid body: 400 or 422 without FastAPI's copy of the input."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        return HttpError(
            HTTPStatus.BAD_REQUEST, "bad_json", "the body is not valid JSON", received=where
        ).response()
    return HttpError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_input",
        "the body is invalid",
        expected=str(first["msg"]),
        received=f"at {where}",
    ).response()
