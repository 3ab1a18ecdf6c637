"""`python -m bento_service`: the service with one worker, which is started again when it ends.

`bentoml serve` starts the same service. Its supervisor imports BentoML and the service before it
starts the worker, which imports them again; this one imports neither, and the worker loads the
model meanwhile (docs/decisions/0013-its-own-start.md).
"""

import argparse
import sys

from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

PATIENCE = 60
"""Seconds after which a worker is replaced in which none of its threads can do anything."""
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
    "loggers": {"uvicorn.error": {"level": "INFO"}},
}


def main() -> int:
    """Serve until SIGTERM or SIGINT.

    Returns:
        The exit code: 0, or `STARTUP_FAILURE` when no worker can begin.
    """
    parser = argparse.ArgumentParser(prog="python -m bento_service", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=3000, help="port to listen on")
    asked = parser.parse_args()
    config = Config(
        "bento_service.worker:asgi",
        factory=True,
        host=asked.host,
        port=asked.port,
        workers=1,
        server_header=False,
        access_log=False,
        log_config=LOGGING,
        timeout_worker_healthcheck=PATIENCE,
    )
    supervisor = Multiprocess(config, sockets=[config.bind_socket()])
    supervisor.run()
    failed = any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes)
    return STARTUP_FAILURE if failed else 0


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"expected a number up to 65535, received {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
