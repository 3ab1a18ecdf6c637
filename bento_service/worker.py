"""What the worker of `python -m bento_service` answers with."""

import contextlib
import gc

from starlette.types import ASGIApp

from pipeline.errors import PipelineError


def asgi() -> ASGIApp:
    """BentoML's application of the service; the model is loaded while BentoML is imported.

    Imports make hundreds of thousands of objects that stay: looking for garbage among them would
    take an eighth of the start, and a part of every later look.
    """
    gc.disable()
    from bento_service.serving import begun

    with contextlib.suppress(PipelineError):  # the start of the application raises it again
        begun()
    from bento_service.service import Service

    app: ASGIApp = Service.to_asgi()  # type: ignore[attr-defined]
    gc.freeze()
    gc.enable()
    return app
