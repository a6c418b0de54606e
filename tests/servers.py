"""Commands that serve pages on this machine, started as at the prompt."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.clones import Clone


@dataclass(frozen=True)
class Served:
    """address: of its pages; told: the lines that it printed before it served them."""

    port: int
    process: subprocess.Popen[str]
    told: list[str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@contextmanager
def served(made: Clone, module: str) -> Iterator[Served]:
    """`python -m module PORT`, for as long as the block lasts."""
    port = free_port()
    process = made.start("python", "-m", module, str(port))
    assert process.stdout is not None
    try:
        told = list(takewhile(lambda line: line != "Press Ctrl-C to stop.\n", process.stdout))
        assert process.poll() is None, told
        opened = Served(port, process, told)
        wait_for(opened.address)
        yield opened
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_for(address: str) -> None:
    for _ in range(1200):
        with suppress(URLError), urlopen(address):  # noqa: S310
            return
        time.sleep(0.05)
    pytest.fail("the server did not answer within a minute")
