"""Plain sockets, for what HTTP clients do not send."""

import contextlib
import re
import socket
from urllib.parse import urlsplit


def connect(url: str, first: bytes = b"") -> socket.socket:
    """A connection that has sent some bytes."""
    place = urlsplit(url)
    connection = socket.create_connection((place.hostname, place.port or 0), timeout=10)
    connection.sendall(first)
    return connection


def receive(connection: socket.socket) -> bytes:
    """What arrives next; empty once the server has closed the connection."""
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(65_536)
    return b""


def receive_response(connection: socket.socket) -> bytes:
    """One response with a Content-Length, complete; what arrived if the server closes before."""
    received = b""
    while True:
        head, separator, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if separator and length and len(body) >= int(length[1]):
            return received
        more = receive(connection)
        if not more:
            return received
        received += more


def is_open(connection: socket.socket) -> bool:
    """Whether the server has not closed the connection; discards what it sent."""
    connection.setblocking(False)
    try:
        while receive(connection):
            pass
    except BlockingIOError:
        return True
    return False
