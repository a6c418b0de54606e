"""The course of a sweep for people: on a terminal a bar, and a line for every ended trial."""

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from src.core.progress import Epoch
from src.tune.study import Study


class Progress:
    """Trials done of those wanted, pruned, failed, the best so far, the time left."""

    def __init__(self, study: Study, wanted: int) -> None:
        self._study = study
        self._drawn: dict[int, Mapping[str, Any]] = {}
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def on_start(self, trial: int, drawn: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        self._drawn[trial] = drawn

    def on_epoch(self, trial: int, epoch: Epoch) -> None:
        pass

    def on_end(self, trial: int, state: str, value: float | None, reason: str) -> None:
        told = f"val loss {value:.4f}" if value is not None else reason
        values = "  ".join(
            f"{key}={_short(value)}" for key, value in self._drawn.get(trial, {}).items()
        )
        tqdm.write(f"trial {trial:3d} {state:>8}  {told}  {values}")
        tally = self._study.tally()
        self._bar.n = tally.finished  # other processes' trials, too
        best = f"{tally.best.values[0]:.4f} (trial {tally.best.number})" if tally.best else "none"
        self._bar.set_postfix_str(f"pruned {tally.pruned}, failed {tally.failed}, best {best}")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
