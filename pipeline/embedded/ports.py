"""Which ports the stack listens on, and who holds one that is taken."""

import random
import socket
from collections.abc import Callable, Iterable

import psutil

from pipeline.embedded.parts import Part, port
from pipeline.errors import UnreachableError
from pipeline.settings import Settings

# SeaweedFS is several servers in one process; they follow the S3 port without a gap, so that one
# setting moves them all.
SEAWEED = (
    "S3",
    "S3_GRPC",
    "MASTER",
    "MASTER_GRPC",
    "VOLUME",
    "VOLUME_GRPC",
    "FILER",
    "FILER_GRPC",
    "ADMIN",
    "ADMIN_GRPC",
)
_UNSEEN = "a process this user may not see"
_FREE_RANGE = range(20_000, 32_000)  # below the range Linux hands out to clients (32768 and up)


def variables(part: Part, settings: Settings) -> dict[str, int]:
    """Name of the Procfile's variable to port, for every port a part opens."""
    if part.heartbeat:
        return {}
    first = port(part, settings)
    if part.name == "s3":
        return {f"{name}_PORT": first + step for step, name in enumerate(SEAWEED)}
    name = part.name.partition("-")[0].upper()
    return {f"{name}_PORT": first}


def require_free(
    parts: Iterable[Part], settings: Settings, held_by: Callable[[int], str] | None = None
) -> None:
    """Check that nobody listens where the stack will.

    Args:
        parts: who is going to listen.
        settings: where.
        held_by: tells who holds a port, '' for nobody; asks this machine by default.

    Raises:
        UnreachableError: naming the first part whose port is taken, the port and its holder.
    """
    for part in parts:
        for number in variables(part, settings).values():
            if who := (held_by or holder)(number):
                raise UnreachableError(
                    f"port {number} of {part.title} is taken by {who}; "
                    f"stop it, or move {part.title} with {part.setting.upper()}"
                )


def holder(number: int) -> str:
    """Who listens on a loopback port, as far as this user may see; '' when it is free."""
    if is_free(number):
        return ""
    try:
        connections = psutil.net_connections("inet")
    except psutil.AccessDenied:
        return _UNSEEN
    for connection in connections:
        address = connection.laddr
        listens = connection.status == psutil.CONN_LISTEN and address and address[1] == number
        if listens and connection.pid:
            return f"pid {connection.pid} ({psutil.Process(connection.pid).name()})"
    return _UNSEEN


def is_free(number: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True


def free_block(count: int) -> int:
    """The first of `count` consecutive free ports."""
    while True:
        first = random.choice(_FREE_RANGE)  # noqa: S311 - two test runs should not meet
        if all(is_free(first + step) for step in range(count)):
            return first
