"""Ports of this machine, on which pages are served."""

import socket

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
