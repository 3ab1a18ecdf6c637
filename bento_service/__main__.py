"""`python -m bento_service`: the service, and another worker when one ends.

`bentoml serve` starts the same service, later: docs/decisions/0013-the-services-start.md.
"""

import argparse
import signal
import socket
import subprocess
import sys
import time

BACKLOG = 2048
"""Connections that wait in the door, for one while a worker is followed by another."""
CANNOT_BEGIN = frozenset({1, 3})
"""Exit codes of Python after an exception, and of Uvicorn when an application does not start:
another worker would fare alike."""
PAUSE_SECONDS = 0.5


class Supervisor:
    """Keeps one worker behind an open door until it is told to end."""

    def __init__(self, door: socket.socket) -> None:
        self._door = door.fileno()
        self._ending = False
        self._worker: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Start workers, one after the other.

        Returns:
            0 after SIGTERM, SIGINT or SIGHUP, else the code of a worker that could not begin.
        """
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(one, self._end)
        while not self._ending:
            code = self._work()
            if self._ending:
                break
            if code in CANNOT_BEGIN:
                return code
            sys.stderr.write(f"the worker ended with code {code}; another one is started\n")
            time.sleep(PAUSE_SECONDS)
        return 0

    def _work(self) -> int:
        command = [sys.executable, "-m", "bento_service.worker", str(self._door)]
        self._worker = subprocess.Popen(command, pass_fds=[self._door])
        if self._ending:  # told so before there was a worker to tell
            self._worker.terminate()
        return self._worker.wait()

    def _end(self, *_: object) -> None:
        self._ending = True
        if self._worker is not None:
            self._worker.terminate()


def main() -> int:
    """Serve until told to end; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bento_service", description="Classify white blood cells over HTTP."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=3000, help="port to listen on")
    asked = parser.parse_args()
    family = socket.AF_INET6 if ":" in asked.host else socket.AF_INET
    try:
        door = socket.create_server((asked.host, asked.port), family=family, backlog=BACKLOG)
    except OSError as error:
        parser.exit(2, f"cannot listen on {asked.host} port {asked.port}: {error.strerror}\n")
    with door:
        return Supervisor(door).run()


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"expected a number up to 65535, received {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
