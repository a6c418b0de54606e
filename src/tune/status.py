"""Shows a running sweep: trials finished, pruned and failed, and the best so far."""

from src.core.console import Progress
from src.core.progress import Ended, Epoch
from src.tune.study import Study


class SweepProgress(Progress):
    """The bar counts finished trials, of all processes; a line has the trial's values, too."""

    def __init__(self, study: Study, wanted: int) -> None:
        last = f"trial-{wanted - 1}"
        super().__init__(study.name, [last], wanted, "trials", study.tally().finished)
        self._study = study

    def on_epoch(self, name: str, epoch: Epoch) -> None:
        """An epoch is no trial, but the time left has changed."""
        self._bar.refresh()

    def fields(self, ended: Ended) -> list[str]:
        values = [f"{key}={_short(value)}" for key, value in ended.values.items()]
        return super().fields(ended) + values

    def on_end(self, ended: Ended) -> None:
        super().on_end(ended)
        tally = self._study.tally()
        self._bar.n = tally.finished
        best = f", best {tally.best.values[0]:.4f}" if tally.best else ""
        self._bar.set_postfix_str(f"pruned {tally.pruned}, failed {tally.failed}{best}")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
