"""A worker of one node, and what passes its messages on to a coordinator on another machine."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from src.core.errors import UserError
from src.core.progress import Epoch
from src.execution.executor import Outcome, Setup
from src.execution.local import Pool
from src.tracking.provenance import environment
from src.training.jobs import Job

JOB = "job"  # there is one at a time


class Relay:
    """One worker process of this machine, as a coordinator elsewhere uses it: call by call.

    setup: its image sets are those of `images`, the content of their files. Starts the process,
    and waits until it takes jobs; raises as Executor.messages does if it cannot.
    """

    def __init__(self, setup: Setup, images: Mapping[str, bytes]) -> None:
        self._begun = environment()
        self._files = {name: _nameless(content) for name, content in images.items()}
        paths = {
            name: Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
            for name, file in self._files.items()
        }
        self._pool = Pool(1, replace(setup, images=paths), self._check)
        self._pool.warm()

    def begin(self, job: Job) -> Epoch | Outcome:
        """Start a job; returns its first message. Raises as Executor.messages does."""
        self._pool.submit(JOB, job)
        return self._next()

    def go_on(self, proceed: bool) -> Epoch | Outcome:
        """Answer the last Epoch; returns the next message."""
        self._pool.answer(JOB, proceed)
        return self._next()

    def _next(self) -> Epoch | Outcome:
        while True:
            for _, message in self._pool.messages(timeout=1.0):
                return message

    def _check(self) -> None:
        if environment() != self._begun:
            raise UserError("its code has changed since the worker was started; call again")


def _nameless(content: bytes) -> IO[bytes]:
    """A file that is gone with this process, even if that is killed."""
    file = TemporaryFile()  # noqa: SIM115 it stays open
    file.write(content)
    file.flush()
    return file
