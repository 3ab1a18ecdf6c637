"""`python -m bento_service.worker FD`: answers what comes through an open socket.

The model is loaded while BentoML is imported (docs/decisions/0013-the-services-start.md).
"""

import contextlib
import gc
import socket
import sys

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE

from bento_service.http.access_log import start_logging
from pipeline.errors import PipelineError

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
}


def main(door: int) -> None:
    """Serve until SIGTERM."""
    config = Config(
        _application,
        factory=True,
        lifespan="on",
        ws="none",  # Uvicorn would log addresses, paths and queries of those who ask for one
        server_header=False,
        access_log=False,
        log_config=LOGGING,
    )
    server = Server(config)
    server.run(sockets=[socket.socket(fileno=door)])
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _application() -> ASGIApp:
    """BentoML's application of the service.

    Imports make hundreds of thousands of objects that stay: looking for garbage among them would
    take an eighth of the start, and a part of every later look.
    """
    gc.disable()
    start_logging()  # before the first model is named
    from bento_service.serving import begun

    with contextlib.suppress(PipelineError):  # the start of the application raises it again
        begun()
    from bento_service.service import Service

    app: ASGIApp = Service.to_asgi()  # type: ignore[attr-defined]
    gc.freeze()
    gc.enable()
    return app


if __name__ == "__main__":
    main(int(sys.argv[1]))
