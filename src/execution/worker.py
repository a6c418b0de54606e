"""A process that trains what it is told, and asks after every epoch whether to go on.

It knows neither Optuna nor MLflow: they are the business of the process that started it, which
also survives it.
"""

from multiprocessing.connection import Connection

import numpy as np
import torch

from src.core import paths
from src.core.errors import UserError
from src.core.progress import Epoch, Reporter
from src.core.runtime import set_up
from src.data.imageset import ImageSet, load_images
from src.execution.messages import Failed, Finished, Job, Refused, Stopped
from src.models.predict import predict
from src.training.scratch import Trained, train_from_scratch

GONE = (EOFError, BrokenPipeError, ConnectionResetError)  # the other end of the connection is


def serve(descriptor: int, index: int) -> None:
    """Receive a RuntimeConfig and then jobs from the connection, until its other end is closed.

    index: this worker's place among those of the machine, which share its GPUs.
    """
    connection = Connection(descriptor)
    try:
        runtime = connection.recv()
        try:
            device = set_up(_share(runtime.device, index), runtime.threads)
            # Only what trains and validates: for a sweep there are no test images.
            train_set = load_images(paths.SOURCE_TENSORS / paths.TRAIN).to(device)
            val_set = load_images(paths.SOURCE_TENSORS / paths.VAL).to(device)
        except Exception as error:  # without data or a device no job would fare better
            connection.send(Refused(_in_one_line(error)))
            return
        while True:
            connection.send(_run(connection.recv(), train_set, val_set, connection))
    except GONE:
        return


class _StopError(Exception):
    """Carries the epoch after which to stop."""


class _Line(Reporter):
    """Tells the epochs, and obeys the answer; notices within a batch if nobody listens."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def on_batch(self, images: int) -> None:
        if self._connection.poll():  # nothing is sent now: the other end is closed
            self._connection.recv()

    def on_epoch(self, epoch: Epoch) -> None:
        self._connection.send(epoch)
        if not self._connection.recv():
            raise _StopError(epoch.epoch)


def _run(
    job: Job, train_set: ImageSet, val_set: ImageSet, connection: Connection
) -> Finished | Stopped | Failed:
    try:
        trained = train_from_scratch(
            job.model, job.train, train_set, val_set, job.seed, [_Line(connection)]
        )
        return Finished(trained.fit.kept, _correct(trained, val_set))
    except _StopError as stop:
        return Stopped(*stop.args)
    except GONE:
        raise
    except Exception as error:  # a trial may fail in any way: the sweep goes on
        return Failed(_in_one_line(error))


def _in_one_line(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}"


def _correct(trained: Trained, val_set: ImageSet) -> bytes:
    right = predict(trained.checkpoint.model, val_set).argmax(1) == val_set.labels
    return np.packbits(right.cpu().numpy()).tobytes()


def _share(device: str, index: int) -> str:
    devices = torch.cuda.device_count()
    return f"cuda:{index % devices}" if device in ("auto", "cuda") and devices else device
