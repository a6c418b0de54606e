"""The messages between a sweep and its workers."""

from dataclasses import dataclass

from src.config.networks import ModelConfig
from src.config.sections import TrainConfig
from src.core.progress import Epoch


@dataclass(frozen=True)
class Job:
    """To a worker: train as the train stage would with these sections and this seed."""

    model: ModelConfig
    train: TrainConfig
    seed: int


@dataclass(frozen=True)
class Finished:
    """The training ran to its end."""

    kept: Epoch  # the epoch whose weights the model has
    correct: bytes  # packed bits, one per validation image: whether it is predicted correctly


@dataclass(frozen=True)
class Stopped:
    """The worker stopped after this epoch, as it was answered."""

    epoch: int


@dataclass(frozen=True)
class Failed:
    """The training raised an error; the worker takes further jobs."""

    reason: str  # one line
    traceback: str  # empty for a UserError, such as a diverged loss


@dataclass(frozen=True)
class Refused:
    """The worker cannot train anything, for example without data or without its device."""

    reason: str  # one line
    traceback: str  # empty for a UserError


@dataclass(frozen=True)
class Lost:
    """Created by the pool when a worker dies before its job is done."""

    reason: str


# From a worker. It waits for a bool in answer to each Epoch: whether to continue.
Message = Epoch | Finished | Stopped | Failed | Refused | Lost
