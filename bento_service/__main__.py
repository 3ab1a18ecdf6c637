"""`python -m bento_service`: the supervisor of the service; restarts the worker when it dies.

`bentoml serve` runs the same service but starts slower:
docs/decisions/0013-service-start.md.
"""

import argparse
import signal
import socket
import subprocess
import sys
import time

BACKLOG = 2048
"""Connections the kernel queues, for example while a worker is being replaced."""
START_FAILED = frozenset({1, 3})
"""Exit codes of a Python exception (1) and of an application that Uvicorn could not start (3):
a restart would fail in the same way."""
RESTART_DELAY_S = 0.5


class Supervisor:
    """Keeps one worker running on a listening socket until SIGTERM, SIGINT or SIGHUP."""

    def __init__(self, listening: socket.socket) -> None:
        self._fd = listening.fileno()
        self._stopping = False
        self._worker: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Run a worker, and another when it dies, until a signal or a worker that fails to start.

        Returns:
            0 after a signal, else the exit code of a worker that failed to start.
        """
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, self._stop)
        while not self._stopping:
            code = self._run_worker()
            if self._stopping:
                break
            if code in START_FAILED:
                return code
            sys.stderr.write(f"the worker exited with code {code}; starting another one\n")
            time.sleep(RESTART_DELAY_S)
        return 0

    def _run_worker(self) -> int:
        """Start a worker and block until it exits; returns its exit code."""
        command = [sys.executable, "-m", "bento_service.worker", str(self._fd)]
        self._worker = subprocess.Popen(command, pass_fds=[self._fd])
        if self._stopping:  # the signal came before there was a worker to terminate
            self._worker.terminate()
        return self._worker.wait()

    def _stop(self, *_: object) -> None:
        """Signal handler: terminate the worker and start no other."""
        self._stopping = True
        if self._worker is not None:
            self._worker.terminate()


def main() -> int:
    """Listen and serve until a signal; returns the exit code, exits with 2 if the port is taken."""
    parser = argparse.ArgumentParser(
        prog="python -m bento_service", description="Classify white blood cells over HTTP."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=3000, help="port to listen on")
    arguments = parser.parse_args()
    host, port = arguments.host, arguments.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        parser.exit(2, f"cannot listen on {host} port {port}: {error.strerror}\n")
    with listening:
        return Supervisor(listening).run()


def _port(text: str) -> int:
    """Argument type: a port number up to 65535, else ArgumentTypeError."""
    if not (text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"expected a number up to 65535, received {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
