"""Ports of the embedded stack, and the process that listens on a taken one."""

import random
import socket
from collections.abc import Callable, Iterable

import psutil

from pipeline.embedded.parts import Part, port
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.settings import Settings

SEAWEEDFS_SERVERS = tuple(
    f"{server}{protocol}"
    for server in ("S3", "MASTER", "VOLUME", "FILER", "ADMIN")
    for protocol in ("", "_GRPC")
)
"""Servers in SeaweedFS's process, on consecutive ports: the S3 port moves them all."""
MAX_PORT = 65_535
_HIDDEN = "a process that this user cannot inspect"
_FREE_RANGE = range(20_000, 32_000)  # below Linux's ephemeral ports (32768 and up)


def variables(part: Part, settings: Settings) -> dict[str, int]:
    """Variable of the Procfile to port number, for every port that a part opens (may be none)."""
    if part.heartbeat:
        return {}
    first = port(part, settings)
    if part.name == "s3":
        return {f"{name}_PORT": first + offset for offset, name in enumerate(SEAWEEDFS_SERVERS)}
    name = part.name.partition("-")[0].upper()
    return {f"{name}_PORT": first}


def require_free(
    parts: Iterable[Part], settings: Settings, find_listener: Callable[[int], str] | None = None
) -> None:
    """Raise UnreachableError if a process listens on a port of these parts.

    Args:
        parts: parts that will be started.
        settings: their addresses.
        find_listener: process that listens on a port, '' for none; `listener` by default.

    Raises:
        UnreachableError: a port is taken; names the part, the port and the process.
        InvalidInputError: a port is above 65535.
    """
    for part in parts:
        for number in variables(part, settings).values():
            if number > MAX_PORT:
                raise InvalidInputError(
                    f"{part.title} has no valid port",
                    expected=f"{part.setting.upper()} with ports up to {MAX_PORT}",
                    received=str(number),
                )
            if process := (find_listener or listener)(number):
                raise UnreachableError(
                    f"port {number} of {part.title} is taken by {process}; "
                    f"stop it, or move {part.title} with {part.setting.upper()}"
                )


def listener(number: int) -> str:
    """Pid and name of the process that listens on a loopback port, as text; '' if it is free."""
    if is_free(number):
        return ""
    try:
        connections = psutil.net_connections("inet")
    except psutil.AccessDenied:
        return _HIDDEN
    for connection in connections:
        address = connection.laddr
        listens = connection.status == psutil.CONN_LISTEN and address and address[1] == number
        if listens and connection.pid:
            return f"pid {connection.pid} ({psutil.Process(connection.pid).name()})"
    return _HIDDEN


def is_free(number: int) -> bool:
    """Whether a server can listen on this loopback port now; reserves nothing."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True


def free_block(count: int) -> int:
    """First of `count` consecutive free ports, at random; retries until found, reserves none."""
    while True:
        first = random.choice(_FREE_RANGE)  # noqa: S311 - no secret
        if all(is_free(first + offset) for offset in range(count)):
            return first
