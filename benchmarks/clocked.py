"""A stage with a clock: what `benchmarks.stages` puts in the place of `python -m pipeline.STAGE`.

Prints the seconds inside fit(), and those inside the analyses of evaluate, as they are spent.
"""

import functools
import importlib
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from src.core.cli import run

FITTED = ("src.training.scratch", "src.training.finetune")
MARK = "clock:"


def time_calls(module: ModuleType, name: str) -> None:
    """Let the module's function say how long each call took."""
    function: Callable[..., Any] = getattr(module, name)

    @functools.wraps(function)
    def timed(*arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            print(f"{MARK} {name} {time.perf_counter() - started}", flush=True)

    setattr(module, name, timed)


def main() -> None:
    stage = importlib.import_module(f"pipeline.{sys.argv[1]}")
    for name in FITTED:
        if name in sys.modules:
            time_calls(sys.modules[name], "fit")
    for name, value in [*vars(stage).items()]:
        if getattr(value, "__module__", "").startswith("src.evaluation.") and callable(value):
            time_calls(stage, name)
    run(stage.main)


if __name__ == "__main__":
    main()
