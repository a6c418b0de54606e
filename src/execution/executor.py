"""What runs trainings, on one machine or many: the protocol, and the messages of its workers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from src.config.sections import RuntimeConfig
from src.core.progress import Epoch
from src.training.jobs import Job
from src.training.result import Result, from_bytes


@dataclass(frozen=True)
class Setup:
    """What the workers of one executor have in common."""

    runtime: RuntimeConfig
    images: Mapping[str, Path]  # the image sets that jobs may name: nothing else is read
    alone: bool  # whether there is one worker only
    node: str = ""  # of a cluster


@dataclass(frozen=True)
class Finished:
    """The training ran to its end."""

    content: bytes  # of its result

    @property
    def result(self) -> Result:
        return from_bytes(self.content, "a worker's result")


@dataclass(frozen=True)
class Stopped:
    """The worker stopped after this epoch, as it was answered."""

    epoch: int
    machine: Mapping[str, str] = field(default_factory=dict)  # see Result


@dataclass(frozen=True)
class Failed:
    """The training raised an error; the worker takes further jobs."""

    reason: str  # one line
    traceback: str = ""  # of a bug; empty for a UserError, such as a diverged loss
    machine: Mapping[str, str] = field(default_factory=dict)  # see Result


@dataclass(frozen=True)
class Ready:
    """The worker has loaded its code and its images, and takes jobs."""


@dataclass(frozen=True)
class Refused:
    """The worker cannot train anything, for example without data or without its device."""

    reason: str  # one line
    traceback: str  # of a bug; empty for a UserError


@dataclass(frozen=True)
class Lost:
    """The worker died before its training was done."""

    reason: str


Outcome = Finished | Stopped | Failed | Lost
# From a worker: one of the first two, then of each job the others. It waits for a bool in answer to
# each Epoch: whether to continue.
Message = Ready | Refused | Epoch | Outcome


class WorkerError(RuntimeError):
    """A bug in a worker; its cause carries the worker's traceback."""


class RemoteError(Exception):
    """The text of a worker's traceback, shown as the cause of another error."""

    def __str__(self) -> str:
        return f"in a worker process:\n{self.args[0]}"


class Executor(Protocol):
    """Trains jobs at the same time. The scheduler calls nothing else."""

    @property
    def capacity(self) -> int:
        """How many jobs it can train at once; it may change, and be 0 for a while."""

    def submit(self, name: str, job: Job) -> None:
        """Start a job, of which fewer than `capacity` are running. Messages bear its name."""

    def answer(self, name: str, proceed: bool) -> None:
        """Answer the Epoch of a job: whether it should continue."""

    def messages(self, timeout: float) -> Iterator[tuple[str, Epoch | Outcome]]:
        """The messages that arrive within `timeout` seconds, each with the name of its job.

        Raises UserError if a worker refuses to start, or code or data have changed meanwhile;
        WorkerError if a bug keeps it from starting; and what a Ctrl-C or SIGTERM received meanwhile
        would have raised.
        """
