"""Ports: of this machine, on which pages are served, and of others."""

import socket
from contextlib import suppress

from src.core.errors import UserError, first_line


def check_is_free(port: int) -> None:
    """Raise UserError if nothing can be served there."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used ({first_line(error)}); name another one"
            ) from error


def answers(address: str, timeout: float = 3.0) -> bool:
    """Whether a process listens at host:port; timeout: in seconds."""
    host, _, port = address.rpartition(":")
    with suppress(OSError, UnicodeError):  # the latter: of what cannot be a host's name
        socket.create_connection((host, int(port)), timeout).close()
        return True
    return False
