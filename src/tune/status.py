"""Shows a running sweep: a progress bar on a terminal, and a line for every trial that ends."""

import sys
from collections.abc import Mapping
from typing import Any, Self

from tqdm import tqdm

from src.core.console import line
from src.core.progress import Ended, Epoch
from src.tune.study import Study


class Progress:
    """An Observer that prints: trials finished, pruned and failed, and the best so far."""

    def __init__(self, study: Study, wanted: int) -> None:
        self._study = study
        self._bar = tqdm(
            desc=study.name,
            initial=study.tally().finished,
            total=wanted,
            unit=" trials",
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def on_start(self, name: str, values: Mapping[str, Any]) -> None:
        pass

    def on_epoch(self, name: str, epoch: Epoch) -> None:
        pass

    def on_end(self, ended: Ended) -> None:
        """Print how the trial ended; a bug's traceback goes to stderr."""
        values = "  ".join(f"{key}={_short(value)}" for key, value in ended.values.items())
        tqdm.write(f"{line(ended)}  {values}")
        if ended.traceback:
            tqdm.write(ended.traceback, file=sys.stderr)
        tally = self._study.tally()
        self._bar.n = tally.finished  # includes the trials of other processes
        best = f"{tally.best.values[0]:.4f} (trial {tally.best.number})" if tally.best else "none"
        self._bar.set_postfix_str(f"pruned {tally.pruned}, failed {tally.failed}, best {best}")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
