"""A simulation for `benchmarks.scale`: workers that answer at once, and a clock for what is left.

With them, all the time of a sweep is its coordinator's.
"""

import random
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

from src.core.progress import Epoch
from src.execution.executor import Finished, Outcome, Stopped
from src.training.fit import Fit
from src.training.jobs import Job
from src.training.result import Result, to_bytes

OTHER = "the rest"
MACHINE = {"device": "cpu", "cpu": "AVX2", "threads": "1", "processor": "simulated"}


class Instant:
    """An Executor whose workers take turns, an epoch each. Losses are drawn by a trial's name."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._running: dict[str, tuple[Job, list[Epoch]]] = {}
        self._ready = deque[tuple[str, Epoch | Outcome]]()

    def submit(self, name: str, job: Job) -> None:
        self._running[name] = (job, [])
        self._train(name)

    def answer(self, name: str, proceed: bool) -> None:
        job, done = self._running[name]
        if proceed and len(done) < job.train.epochs:
            self._train(name)
            return
        del self._running[name]
        self._ready.append((name, _finished(done) if proceed else Stopped(len(done), MACHINE)))

    def messages(self, timeout: float) -> Iterator[tuple[str, Epoch | Outcome]]:
        for _ in range(len(self._ready)):
            yield self._ready.popleft()

    def _train(self, name: str) -> None:
        _, done = self._running[name]
        number = len(done) + 1
        loss = random.Random(name).random() + 1 / number  # noqa: S311
        done.append(Epoch(number, loss, loss, 0.9, 0.001, 1000.0))
        self._ready.append((name, done[-1]))


def _finished(done: list[Epoch]) -> Finished:
    fit = Fit(tuple(done), kept=done[-1])
    result = Result(fit, parameters=1, seconds=1.0, predictions={}, machine=MACHINE)
    return Finished(to_bytes(result))


class Clock:
    """Divides the time of a thread into parts: a moment belongs to the innermost call's.

    whole: parts to which all belongs that they call.
    """

    def __init__(self, *whole: str) -> None:
        self._seconds = defaultdict[str, float](float)
        self._whole = whole
        self._part, self._since = OTHER, time.perf_counter()

    def __call__(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            before = self._part
            self._turn_to(before if before in self._whole else part)
            try:
                return function(*arguments, **named)
            finally:
                self._turn_to(before)

        return timed

    def methods(self, part: str, instance: object, *names: str) -> None:
        for name in names:
            setattr(instance, name, self(part, getattr(instance, name)))

    def read(self) -> defaultdict[str, float]:
        """The seconds of each part until now."""
        self._turn_to(self._part)
        return self._seconds.copy()

    def _turn_to(self, part: str) -> None:
        now = time.perf_counter()
        self._seconds[self._part] += now - self._since
        self._part, self._since = part, now
