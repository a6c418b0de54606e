"""Worker processes: started when there is work, replaced when they die."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from types import TracebackType
from typing import Self

from src.config.sections import RuntimeConfig
from src.core.errors import UserError
from src.core.progress import Epoch
from src.core.signals import Interruption
from src.execution.messages import Job, Lost, Message, Refused

CODE = Path(__file__).parents[2]
START = (
    "import sys; from src.execution.worker import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"
)


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    index: int
    job: int | None = None


class Pool:
    """At most `size` workers, each with one job at a time. Leaving the block kills them.

    check: called before a worker starts, late ones too; raises if it would not do as the others.
    Within the block, Ctrl-C and SIGTERM are raised by `messages`.
    """

    def __init__(self, size: int, runtime: RuntimeConfig, check: Callable[[], None]) -> None:
        self._size, self._runtime, self._check = size, runtime, check
        self._workers: list[_Worker] = []
        self._interruption = Interruption()

    def __enter__(self) -> Self:
        self._interruption.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in [*self._workers]:
            self._remove(worker)
        self._interruption.__exit__(kind, error, trace)

    @property
    def busy(self) -> int:
        return sum(worker.job is not None for worker in self._workers)

    @property
    def free(self) -> bool:
        return self.busy < self._size

    def submit(self, number: int, job: Job) -> None:
        """Give the job, under a number of the caller's, to a free worker."""
        for worker in [worker for worker in self._workers if worker.job is None]:
            if _send(worker, job):
                worker.job = number
                return
            self._remove(worker)  # it died while it was idle
        worker = self._start()
        worker.job = number
        # That it died, should it have, is the next message.
        _send(worker, self._runtime)
        _send(worker, job)

    def answer(self, number: int, go_on: bool) -> None:
        """Answer the Epoch of a job."""
        (worker,) = (worker for worker in self._workers if worker.job == number)
        _send(worker, go_on)  # that it died, should it have, is the next message

    def messages(self, timeout: float) -> Iterator[tuple[int, Message]]:
        """What came in within so many seconds, with the number of the job."""
        busy = {worker.connection: worker for worker in self._workers if worker.job is not None}
        for connection in wait([*busy], timeout):
            assert isinstance(connection, Connection)
            worker = busy[connection]
            assert worker.job is not None
            number, message = worker.job, self._receive(worker)
            if not isinstance(message, Epoch):
                worker.job = None
            yield number, message
        self._interruption.check()

    def _receive(self, worker: _Worker) -> Message:
        try:
            message: Message = worker.connection.recv()
        except (EOFError, OSError) as error:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(5)  # to learn how it ended, before it is made to
            self._remove(worker)
            if (status := worker.process.returncode) > 0:
                raise UserError(f"a worker ended with status {status}, see above") from error
            return Lost(_how_it_ended(worker.process.returncode))
        if isinstance(message, Refused):
            raise UserError(message.reason)
        return message

    def _start(self) -> _Worker:
        self._check()
        index = min({*range(self._size)} - {worker.index for worker in self._workers})
        ours, theirs = Pipe()
        process = subprocess.Popen(
            [sys.executable, "-c", START, str(theirs.fileno()), str(index)],
            pass_fds=[theirs.fileno()],
            env={
                # Waiting threads yield to working ones: see the Makefile.
                "GOMP_SPINCOUNT": "10000",
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(CODE), os.environ.get("PYTHONPATH", "")]),
            },
            # Ctrl-C is for the process at the prompt, which decides what becomes of this one.
            start_new_session=True,
        )
        theirs.close()
        worker = _Worker(process, ours, index)
        self._workers.append(worker)
        return worker

    def _remove(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.kill()
        worker.process.wait()


def _how_it_ended(status: int) -> str:
    if status == -signal.SIGKILL:
        return "its worker was killed, by someone or for want of memory"
    return f"its worker ended by signal {-status}"


def _send(worker: _Worker, message: object) -> bool:
    """Whether the worker was still there to be sent it."""
    try:
        worker.connection.send(message)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True
