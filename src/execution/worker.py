"""A process that trains one job after another, and asks after every epoch whether to continue.

It imports neither Optuna nor MLflow: the process that started it reports the results to them, so
a worker can be killed at any time without leaving either half written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

import torch

from src.core.errors import UserError, one_line, trace
from src.core.progress import Epoch, Reporter
from src.core.runtime import describe_worker, set_up
from src.data.imageset import load_images
from src.execution.executor import Failed, Finished, Ready, Refused, Setup, Stopped
from src.training.jobs import Images, Job, run_job
from src.training.result import to_bytes

DISCONNECTED = (EOFError, BrokenPipeError, ConnectionResetError)


def serve(descriptor: int, index: int) -> None:
    """Receive a Setup and then jobs from the connection, until its other end is closed.

    descriptor: of the connection, an inherited file; index: this worker's number on the machine,
    from 0, by which the workers share its GPUs.
    """
    connection = Connection(descriptor)
    try:
        setup: Setup = connection.recv()
        try:
            shared = {"device": _share(setup.runtime.device, index)}
            device = set_up(**{**setup.runtime.model_dump(), **shared})
            images = {name: load_images(path).to(device) for name, path in setup.images.items()}
        except Exception as error:  # without data or a device, every job would fail
            connection.send(Refused(one_line(error), _bug_trace(error)))
            return
        connection.send(Ready())
        training = _Training(connection, images, setup.alone, describe_worker(device, setup.node))
        while True:
            connection.send(training.run(connection.recv()))
    except DISCONNECTED:
        return


class _StopError(Exception):
    """Raised out of the training to stop it; carries the number of the last epoch."""


class _EpochSender(Reporter):
    """Sends each epoch and waits for the answer; notices at each batch if the pool is gone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def on_batch(self, images: int) -> None:
        # The pool sends nothing during an epoch: readable means that its end is closed.
        if self._connection.poll():
            self._connection.recv()

    def on_epoch(self, epoch: Epoch) -> None:
        self._connection.send(epoch)
        if not self._connection.recv():
            raise _StopError(epoch.epoch)


@dataclass(frozen=True)
class _Training:
    """What all trainings of this process have in common."""

    connection: Connection
    images: Images
    alone: bool
    machine: Mapping[str, str]

    def run(self, job: Job) -> Finished | Stopped | Failed:
        try:
            result = run_job(job, self.images, [_EpochSender(self.connection)])
            return Finished(to_bytes(replace(result, alone=self.alone, machine=self.machine)))
        except _StopError as stop:
            return Stopped(stop.args[0], self.machine)
        except DISCONNECTED:
            raise
        except Exception as error:  # one failed training must not end the others
            return Failed(one_line(error), _bug_trace(error), self.machine)


def _bug_trace(error: Exception) -> str:
    """Empty if it is no bug: bad input, or too little memory on a GPU."""
    return "" if isinstance(error, UserError | torch.OutOfMemoryError) else trace(error)


def _share(device: str, index: int) -> str:
    devices = torch.cuda.device_count()
    return f"cuda:{index % devices}" if device in ("auto", "cuda") and devices else device
