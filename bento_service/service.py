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
from bento_service.http.api_keys import Door
from bento_service.http.errors import Refusal
from bento_service.http.middleware import Guard
from bento_service.http.openapi import put_right
from bento_service.http.routes import create_app
from bento_service.http.schemas import Classification
from bento_service.process.graceful_shutdown import Drain
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from bento_service.serving import Serving

app = create_app()


class _FileSchema:
    """Says `file` to BentoML's clients, which then send a form, and plain OpenAPI to others."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = handler(core)
        return {**schema, "type": "file"} if handler.mode == "validation" else schema


class ImageUpload(IODescriptor):  # type: ignore[misc]
    """A form with one file, a JPEG or PNG of one cell."""

    media_type = "multipart/form-data"

    image: Annotated[bytes, _FileSchema()]

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> "ImageUpload":  # noqa: ARG003
        """The file that the guard took out of the body; BentoML reads no bodies here."""
        (file,) = request.state.files
        return cls(image=file)


ImageUpload.multipart_fields = ["image"]  # BentoML finds only paths by itself


# One worker: its engine keeps every core busy, and more processes would add memory, and lines that
# know nothing of each other. The traffic timeout is a net below the guard's and the line's own,
# whose answers have our shape. The access log is the guard's: BentoML's own shows paths as they
# were asked for. Spans that nobody collects would be a quarter of what a request costs besides its
# image.
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
    """Answers photographs of white blood cells. Research use, not for diagnosis."""

    def __init__(self) -> None:
        # BentoML's supervisor imports this module, too, and serves nothing: it starts sooner
        # without what only a worker needs.
        from bento_service.serving import begun

        self.serving = begun()
        self.drain = Drain(self.serving.settings.drain_seconds)
        app.state.serving, app.state.drain = self.serving, self.drain
        self.serving.require_loaded()  # before that there is no door that could be shut
        self.drain.watch()

    @bentoml.api(route="/classify", input_spec=ImageUpload)  # type: ignore[untyped-decorator]
    async def classify(self, image: bytes, ctx: bentoml.Context) -> Classification:
        """Class, probabilities, decision and cell of one image."""
        request_id = ctx.request.state.request_id
        try:
            return await self.serving.classify(image, route="/classify", request_id=request_id)
        except Refusal as no:
            ctx.response.status_code = no.status
            return no.response()  # type: ignore[return-value]  # sent as it is

    @bentoml.api(route="/explain", input_spec=ImageUpload)  # type: ignore[untyped-decorator]
    async def explain(
        self, image: bytes, ctx: bentoml.Context
    ) -> Annotated[bytes, ContentType("image/png")]:
        """The crop with what speaks for the answer (orange) and against it (blue): a check aid.

        The headers `x-label` (percent-encoded) and `x-tag` say which class, and which model's.
        """
        try:
            explanation, tag = await self.serving.explain(image)
        except Refusal as no:
            ctx.response.status_code = no.status
            return no.response()  # type: ignore[return-value]  # sent as it is
        ctx.response.headers.update({"x-label": quote(explanation.label), "x-tag": tag})
        out = io.BytesIO()
        explanation.picture.save(out, "PNG")
        return out.getvalue()

    def __is_ready__(self) -> bool:
        return self.serving.ready and not self.drain.begun

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Bring what was written down to safety."""
        self.serving.stop()


@app.get("/docs.json", include_in_schema=False)
def _docs() -> dict[str, Any]:
    serving: Serving = app.state.serving
    described = Service.openapi_spec.asdict()  # type: ignore[attr-defined]
    return put_right(described, serving.labels, app.state.door)


def _guarded(answering: ASGIApp) -> Guard:
    """The guard before everything; made as a worker starts, before anything else is said."""
    start_logging()
    settings = load_settings()
    app.state.door = Door.of(settings)
    return Guard(
        answering,
        body_seconds=settings.body_seconds,
        turns_away=_turns_away,
        ending=_ending,
        why_not_ready=_why_not_ready,
        door=app.state.door,
    )


def _turns_away() -> bool:
    serving: Serving = app.state.serving
    return serving.turns_away()


def _why_not_ready() -> Refusal | None:
    serving: Serving = app.state.serving
    return serving.why_not_ready()


def _ending() -> bool:
    drain: Drain = app.state.drain
    return drain.begun


Service.add_asgi_middleware(_guarded)  # type: ignore[attr-defined]
