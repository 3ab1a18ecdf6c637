"""`python -m bento_service.worker FD`: one worker process on an inherited listening socket.

The model loads while BentoML is being imported (docs/decisions/0013-service-start.md).
"""

import contextlib
import gc
import socket
import sys

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE

from bento_service.http.access_log import start_logging
from pipeline.errors import PipelineError, of_system

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
}


def main(fd: int) -> None:
    """Serve on the listening socket `fd` until SIGTERM; exits with 1 or 3 if it fails to start."""
    config = Config(
        _application,
        factory=True,
        lifespan="on",
        ws="none",  # for WebSocket requests Uvicorn would log client addresses, paths and queries
        server_header=False,
        access_log=False,
        log_config=LOGGING,
    )
    server = Server(config)
    try:
        server.run(sockets=[socket.socket(fileno=fd)])
    except OSError as error:  # a read-only home, a full disk
        expected = of_system(error)
        if expected is None:
            raise
        sys.exit(f"the service failed to start: {expected}")
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _application() -> ASGIApp:
    """Start logging and loading, build BentoML's ASGI app; a failed load raises when it starts.

    Garbage collection is off during the imports: they create hundreds of thousands of permanent
    objects, and scanning them would take an eighth of the start time and a part of every later
    collection.
    """
    gc.disable()
    start_logging()  # before the first log line about a model
    from bento_service.worker_state import shared_worker_state

    with contextlib.suppress(PipelineError):  # raised again when the application starts
        shared_worker_state()
    from bento_service.service import Service

    app: ASGIApp = Service.to_asgi()  # type: ignore[attr-defined]
    gc.freeze()
    gc.enable()
    return app


if __name__ == "__main__":
    main(int(sys.argv[1]))
