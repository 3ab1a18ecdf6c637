"""The BentoML service, for `python -m bento_service` and for `bentoml serve`."""

import io
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import bentoml
from bentoml import IODescriptor
from bentoml.validators import ContentType
from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema
from starlette.requests import Request
from starlette.types import ASGIApp

from bento_service.http.access_log import start_logging
from bento_service.http.api_key_check import ApiKeyCheck
from bento_service.http.errors import HttpError
from bento_service.http.middleware import Limits, ServiceMiddleware, ServiceState
from bento_service.http.openapi import complete_openapi
from bento_service.http.routes import create_app
from bento_service.http.schemas import Classification
from bento_service.process.graceful_shutdown import GracefulShutdown, running_server
from pipeline.http.connections import Connections
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from bento_service.worker_state import WorkerState

app = create_app()


class _FileSchema:
    """JSON schema of a field: type `file` for BentoML's clients, which then send a form."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The field's schema; type `file` in validation mode only."""
        schema = handler(core)
        return {**schema, "type": "file"} if handler.mode == "validation" else schema


class ImageUpload(IODescriptor):  # type: ignore[misc]
    """A form with one file, a JPEG or PNG of one cell."""

    media_type = "multipart/form-data"

    image: Annotated[bytes, _FileSchema()]

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> "ImageUpload":  # noqa: ARG003
        """Take the file that the middleware parsed; BentoML's own parser would fetch URLs."""
        (file,) = request.state.files
        return cls(image=file)


ImageUpload.multipart_fields = ["image"]  # BentoML detects only fields of type Path


# One worker: its engine uses every core; more processes would need more memory and have separate
# work queues. The traffic timeout is a safety net above the middleware's and the work queue's
# timeouts, whose errors have our format. Access log: see access_log.py; BentoML's logs raw paths.
# Tracing is off: unused spans cost a quarter of the overhead of a request.
@bentoml.service(
    name="leukoflow",
    workers=1,
    traffic={"timeout": 120},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)
@bentoml.asgi_app(app, path="/")
class Service:
    """Classifies photographs of white blood cells. Research use, not for diagnosis."""

    def __init__(self) -> None:
        """Wait for a baked-in model, publish the state, limit connections and handle SIGTERM."""
        # Imported here: BentoML's supervisor imports this module too and starts faster without it.
        from bento_service.worker_state import shared_worker_state

        self.serving = shared_worker_state()
        self.shutdown = GracefulShutdown(self.serving.settings.drain_seconds)
        app.state.serving, app.state.shutdown = self.serving, self.shutdown
        self.serving.wait_until_loaded()  # no request is accepted before
        server = running_server()
        app.state.connections = server and Connections(server, self.serving.settings)
        self.shutdown.handle_sigterm()

    @bentoml.api(route="/classify", input_spec=ImageUpload)  # type: ignore[untyped-decorator]
    async def classify(self, image: bytes, ctx: bentoml.Context) -> Classification:
        """Class, probabilities, decision and cell of one image; the prediction is logged."""
        request_id = ctx.request.state.request_id
        try:
            return await self.serving.classify(image, route="/classify", request_id=request_id)
        except HttpError as error:
            ctx.response.status_code = error.status
            return error.response()  # type: ignore[return-value]  # BentoML sends it unchanged

    @bentoml.api(route="/explain", input_spec=ImageUpload)  # type: ignore[untyped-decorator]
    async def explain(
        self, image: bytes, ctx: bentoml.Context
    ) -> Annotated[bytes, ContentType("image/png")]:
        """PNG of the crop with the evidence for (orange) and against (blue) the predicted class.

        The headers `x-label` (percent-encoded) and `x-tag` give the class and the model.
        """
        try:
            explanation, tag = await self.serving.explain(image)
        except HttpError as error:
            ctx.response.status_code = error.status
            return error.response()  # type: ignore[return-value]  # BentoML sends it unchanged
        ctx.response.headers.update({"x-label": quote(explanation.label), "x-tag": tag})
        out = io.BytesIO()
        explanation.picture.save(out, "PNG")
        return out.getvalue()

    def __is_ready__(self) -> bool:
        """Whether `/readyz` is 200: a model is loaded, a thread healthy, no shutdown begun."""
        return self.serving.ready and not self.shutdown.begun

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Stop background threads and upload the logs; BentoML calls it at shutdown."""
        self.serving.stop()


@app.get("/docs.json", include_in_schema=False)
def _docs() -> dict[str, Any]:
    """The corrected OpenAPI document; `labels` are those of the model served now."""
    document = Service.openapi_spec.asdict()  # type: ignore[attr-defined]
    return complete_openapi(document, _serving().labels, app.state.keys)


def _middleware(application: ASGIApp) -> ServiceMiddleware:
    """Start logging, read the API keys, and wrap the application; called once per worker."""
    start_logging()
    settings = load_settings()
    app.state.keys = ApiKeyCheck.of(settings)
    return ServiceMiddleware(
        application,
        limits=Limits(body_timeout_s=settings.body_seconds),
        state=ServiceState(
            reject_if_full=lambda: _serving().reject_if_full(),
            too_many_connections=_too_many_connections,
            shutting_down=lambda: bool(app.state.shutdown.begun),
            not_ready_reason=lambda: _serving().not_ready_reason(),
        ),
        keys=app.state.keys,
    )


def _serving() -> "WorkerState":
    serving: WorkerState = app.state.serving
    return serving


def _too_many_connections() -> bool:
    """Whether a request runs on each allowed connection, and there are more."""
    connections: Connections | None = app.state.connections
    return connections is not None and connections.full


Service.add_asgi_middleware(_middleware)  # type: ignore[attr-defined]
