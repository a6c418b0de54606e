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
from typing import Self

from src.core.errors import UserError
from src.core.progress import Epoch
from src.core.signals import Interruption
from src.execution.executor import (
    Lost,
    Message,
    Outcome,
    Ready,
    Refused,
    RemoteError,
    Setup,
    WorkerError,
)
from src.training.jobs import Job

REPOSITORY = Path(__file__).parents[2]
START = (
    "import sys; from src.execution.worker import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"
)


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    index: int
    job: str | None = None
    waiting: Job | None = None  # what to send once the worker is ready


class Pool:
    """An Executor of at most `size` processes of this machine. Leaving the block kills them.

    check: called once each worker is ready, replacements too; raises if code or data have changed,
    so that the new worker would train differently from the others. Within the block, Ctrl-C and
    SIGTERM are raised by `messages` only.
    """

    def __init__(self, size: int, setup: Setup, check: Callable[[], None]) -> None:
        self.capacity = size
        self._setup, self._check = setup, check
        self._workers: list[_Worker] = []
        self._interruption = Interruption()

    def __enter__(self) -> Self:
        self._interruption.__enter__()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        for worker in [*self._workers]:
            self._remove(worker)
        self._interruption.__exit__(kind, error, trace)

    def warm(self) -> None:
        """Start a worker, and wait until it takes jobs. Raises as `messages` does."""
        worker = self._start()
        _send(worker, self._setup)
        if not isinstance(self._receive(worker), Ready):
            raise UserError("a worker was killed while it started")
        self._check()

    def submit(self, name: str, job: Job) -> None:
        for worker in [worker for worker in self._workers if worker.job is None]:
            if _send(worker, job):
                worker.job = name
                return
            self._remove(worker)  # it died while idle
        worker = self._start()
        # The job follows once it is ready: a large one would fill the pipe, and block the others.
        worker.job, worker.waiting = name, job
        _send(worker, self._setup)  # if it has died already, `messages` yields Lost

    def answer(self, name: str, proceed: bool) -> None:
        (worker,) = (worker for worker in self._workers if worker.job == name)
        _send(worker, proceed)  # if it has died already, `messages` yields Lost

    def messages(self, timeout: float) -> Iterator[tuple[str, Epoch | Outcome]]:
        busy = {worker.connection: worker for worker in self._workers if worker.job is not None}
        for connection in wait([*busy], timeout):
            assert isinstance(connection, Connection)
            worker = busy[connection]
            assert worker.job is not None
            name, message = worker.job, self._receive(worker)
            if isinstance(message, Ready):
                self._check()
                _send(worker, worker.waiting)
                worker.waiting = None
                continue
            if not isinstance(message, Epoch):
                worker.job = None
            yield name, message
        self._interruption.check()

    def _receive(self, worker: _Worker) -> Ready | Epoch | Outcome:
        try:
            message: Message = worker.connection.recv()
        except (EOFError, OSError) as error:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(5)  # for its own exit status, before it is killed
            self._remove(worker)
            if (status := worker.process.returncode) > 0:
                raise UserError(f"a worker ended with status {status}, see above") from error
            return Lost(_how_it_ended(status))
        if not isinstance(message, Refused):
            return message
        if message.traceback:
            raise WorkerError(message.reason) from RemoteError(message.traceback)
        raise UserError(message.reason)

    def _start(self) -> _Worker:
        index = min({*range(self.capacity)} - {worker.index for worker in self._workers})
        connection, remote = Pipe()
        process = subprocess.Popen(
            [sys.executable, "-c", START, str(remote.fileno()), str(index)],
            pass_fds=[remote.fileno()],
            # Idle threads give up the CPU sooner: see the Makefile.
            env={"GOMP_SPINCOUNT": "10000", **importing()},
            # Ctrl-C must reach only the command, which then stops its workers itself.
            start_new_session=True,
        )
        remote.close()
        worker = _Worker(process, connection, index)
        self._workers.append(worker)
        return worker

    def _remove(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.kill()
        worker.process.wait()


def importing() -> dict[str, str]:
    """The environment of a process that imports from this repository, in whatever folder."""
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path}


def _how_it_ended(status: int) -> str:
    if status == -signal.SIGKILL:
        return "its worker was killed, by someone or for lack of memory"
    return f"its worker ended by signal {-status}"


def _send(worker: _Worker, message: object) -> bool:
    """Send a message; False if the worker has died."""
    try:
        worker.connection.send(message)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True
