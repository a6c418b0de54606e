"""A process that trains one job after another, and asks after every epoch whether to continue.

It imports neither Optuna nor MLflow: the process that started it reports the results to them, so
a worker can be killed at any time without leaving either half written.
"""

from multiprocessing.connection import Connection

import numpy as np
import torch

from src.core import paths
from src.core.errors import UserError, one_line, trace
from src.core.progress import Epoch, Reporter
from src.core.runtime import set_up
from src.data.imageset import ImageSet, load_images
from src.execution.messages import Failed, Finished, Job, Refused, Stopped
from src.models.predict import predict
from src.training.scratch import Trained, train_from_scratch

DISCONNECTED = (EOFError, BrokenPipeError, ConnectionResetError)


def serve(descriptor: int, index: int) -> None:
    """Receive a RuntimeConfig and then jobs from the connection, until its other end is closed.

    descriptor: of the connection, an inherited file; index: this worker's number on the machine,
    from 0, by which the workers share its GPUs.
    """
    connection = Connection(descriptor)
    try:
        runtime = connection.recv()
        try:
            device = set_up(_share(runtime.device, index), runtime.threads)
            # Test images are never loaded in a sweep.
            train_set = load_images(paths.SOURCE_TENSORS / paths.TRAIN).to(device)
            val_set = load_images(paths.SOURCE_TENSORS / paths.VAL).to(device)
        except Exception as error:  # without data or a device, every job would fail
            connection.send(Refused(one_line(error), _bug_trace(error)))
            return
        while True:
            connection.send(_run(connection.recv(), train_set, val_set, connection))
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


def _run(
    job: Job, train_set: ImageSet, val_set: ImageSet, connection: Connection
) -> Finished | Stopped | Failed:
    try:
        trained = train_from_scratch(
            job.model, job.train, train_set, val_set, job.seed, [_EpochSender(connection)]
        )
        return Finished(trained.fit.kept, _correct(trained, val_set))
    except _StopError as stop:
        return Stopped(*stop.args)
    except DISCONNECTED:
        raise
    except Exception as error:  # one failed trial must not end the sweep
        return Failed(one_line(error), _bug_trace(error))


def _bug_trace(error: Exception) -> str:
    return "" if isinstance(error, UserError) else trace(error)


def _correct(trained: Trained, val_set: ImageSet) -> bytes:
    correct = predict(trained.checkpoint.model, val_set).argmax(1) == val_set.labels
    return np.packbits(correct.cpu().numpy()).tobytes()


def _share(device: str, index: int) -> str:
    devices = torch.cuda.device_count()
    return f"cuda:{index % devices}" if device in ("auto", "cuda") and devices else device
