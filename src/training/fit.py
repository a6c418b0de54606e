"""The only training loop. Trainings differ in data, initial weights and plan, not in code."""

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from src.core.progress import Epoch, Reporter
from src.core.runtime import generator
from src.data.imageset import TrainVal, batches
from src.models.scoring import score
from src.training.step import Step, finite

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Fit:
    """The history of a training, and the epoch whose weights the model now has."""

    epochs: tuple[Epoch, ...]
    kept: Epoch

    def history(self) -> "pd.DataFrame":
        """A row per epoch, without its speed: equal trainings give equal tables."""
        import pandas as pd  # half a second that a sweep's workers need not spend

        return pd.DataFrame(self.epochs).drop(columns="images_per_second")


def fit(step: Step, data: TrainVal, seed: int, reporters: Sequence[Reporter] = ()) -> Fit:
    """Train `step.model` in place, batch by batch; it and the data are on one device.

    seed: draws the batches and the dropout. The same arguments on the same machine with the same
    number of threads give the same weights, to the last bit. Raises DivergedError at the end of an
    epoch in which a loss was not finite: its weights are not kept, and it is not reported.
    """
    device, config = data.train.labels.device, step.config
    shuffle = generator(seed, "shuffle")
    epochs: list[Epoch] = []
    best: Epoch | None = None
    with _dropout_from(seed, device):
        for number in range(1, config.epochs + 1):
            epoch = _run_epoch(number, step, data, shuffle, reporters)
            epochs.append(epoch)
            if best is None or epoch.val_loss < best.val_loss:
                best = epoch
                best_weights = copy.deepcopy(step.model.state_dict()) if config.keep_best else {}
            if config.patience is not None and number - best.epoch >= config.patience:
                break
    assert best is not None
    if not config.keep_best:
        return Fit(tuple(epochs), kept=epochs[-1])
    step.model.load_state_dict(best_weights)
    return Fit(tuple(epochs), kept=best)


def _run_epoch(
    number: int,
    step: Step,
    data: TrainVal,
    shuffle: torch.Generator,
    reporters: Sequence[Reporter],
) -> Epoch:
    step.begin_epoch(number)
    # Summed on the device and read once an epoch: the program waits for a GPU at each read.
    total = torch.zeros((), dtype=torch.float64, device=data.train.labels.device)
    started = time.perf_counter()
    for images, labels in batches(data.train, step.config.batch_size, shuffle):
        rate = step.rate
        total += step(images, labels) * len(labels)
        for reporter in reporters:
            reporter.on_batch(len(labels))
    train_loss = total.item() / len(data.train)
    seconds = time.perf_counter() - started
    finite(train_loss, "training", step.config)
    val = score(step.model, data.val)
    epoch = Epoch(
        epoch=number,
        train_loss=train_loss,
        val_loss=finite(val.loss, "validation", step.config),
        val_accuracy=val.accuracy,
        learning_rate=rate,
        images_per_second=len(data.train) / seconds,
    )
    for reporter in reporters:
        reporter.on_epoch(epoch)
    return epoch


@contextmanager
def _dropout_from(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's global generator, which dropout uses, and restore it afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(generator(seed, "dropout").initial_seed())
        yield
