"""The train stage with a meter: what `benchmarks.overhead` runs, in a process of its own.

Prints as JSON the CPU seconds inside tracking and reporting, imports and child processes included,
and those inside fit() without them.
"""

import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from src.core.cli import run
from src.training import scratch  # imports what the training itself needs, above all torch


class Meter:
    """Adds up what calls cost, but for those within another of them.

    Of this process and its children; `benchmarks.overhead` keeps idle threads from spinning.
    """

    def __init__(self) -> None:
        self.seconds, self._within = 0.0, False

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def metered(*arguments: Any, **named: Any) -> Any:
            if self._within:
                return function(*arguments, **named)
            self._within, before = True, _cpu_seconds()
            try:
                return function(*arguments, **named)
            finally:
                self._within = False
                self.seconds += _cpu_seconds() - before

        return metered

    def methods(self, *classes: type) -> None:
        """Meter what these classes define or inherit, but for what every object has."""
        for each in classes:
            for name in dir(each):
                own = name in ("__init__", "__enter__", "__exit__") or not name.startswith("_")
                if own and callable(getattr(each, name)):
                    setattr(each, name, self(getattr(each, name)))


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def import_tracking() -> Any:
    from src.core import console
    from src.tracking import runs

    return console, runs


def main() -> None:
    overhead, training = Meter(), 0.0
    console, runs = overhead(import_tracking)()
    overhead.methods(console.Console, runs.Run)
    from pipeline import train

    @contextmanager
    def track(*arguments: Any) -> Iterator[Any]:
        manager = runs.track(*arguments)
        yield overhead(manager.__enter__)()
        overhead(manager.__exit__)(None, None, None)

    def fit(*arguments: Any) -> Any:
        nonlocal training
        cpu, aside = time.process_time(), overhead.seconds
        fitted = plain(*arguments)
        training = time.process_time() - cpu - (overhead.seconds - aside)
        return fitted

    plain = vars(scratch)["fit"]
    vars(scratch)["fit"], vars(train)["track"] = fit, track
    train.main()
    print(json.dumps([overhead.seconds, training]))


if __name__ == "__main__":
    run(main)
