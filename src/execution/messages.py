"""What a sweep and its workers say to each other."""

from dataclasses import dataclass

from src.config.networks import ModelConfig
from src.config.sections import TrainConfig
from src.core.progress import Epoch


@dataclass(frozen=True)
class Job:
    """To a worker: train what the train stage would with these sections and this seed."""

    model: ModelConfig
    train: TrainConfig
    seed: int


@dataclass(frozen=True)
class Finished:
    kept: Epoch
    correct: bytes  # a bit for each validation image: whether it is read right


@dataclass(frozen=True)
class Stopped:
    """As it was told to."""

    epoch: int


@dataclass(frozen=True)
class Failed:
    reason: str


@dataclass(frozen=True)
class Refused:
    """Nothing can be trained here."""

    reason: str


@dataclass(frozen=True)
class Lost:
    """Said by nobody: the worker died before the job was done."""

    reason: str


# From a worker. An Epoch is to be answered by whether to go on, a bool.
Message = Epoch | Finished | Stopped | Failed | Refused | Lost
