"""The only training loop. Trainings differ in data, initial weights and plan, not in code."""

import copy
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from src.config.sections import TrainConfig
from src.core.errors import UserError
from src.core.progress import Epoch, Reporter
from src.core.runtime import generator
from src.data.augment import augment
from src.data.imageset import TrainVal, batches
from src.models.network import Network
from src.models.predict import as_pixels, score
from src.training.optim import LayerPlan, build_optimizer, build_schedule

if TYPE_CHECKING:
    import pandas as pd


class DivergedError(UserError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class Fit:
    """The history of a training, and the epoch whose weights the model now has."""

    epochs: tuple[Epoch, ...]
    kept: Epoch

    def history(self) -> "pd.DataFrame":
        """A row per epoch, without its speed: equal trainings give equal tables."""
        import pandas as pd  # half a second that a sweep's workers need not spend

        return pd.DataFrame(self.epochs).drop(columns="images_per_second")


def fit(
    model: Network,
    data: TrainVal,
    config: TrainConfig,
    plan: Sequence[LayerPlan],
    seed: int,
    reporters: Sequence[Reporter] = (),
) -> Fit:
    """Train `model` in place; it and the data are on one device.

    plan: how each of `model.layers` is trained. The same arguments on the same machine with the
    same number of threads give the same weights, to the last bit. Raises DivergedError for a
    loss that is not finite, before it reaches a weight.
    """
    device = data.train.labels.device
    learner = _Learner(model, config, plan, seed, device, len(data.train))
    shuffle = generator(seed, "shuffle")
    epochs: list[Epoch] = []
    best: Epoch | None = None
    with _dropout_from(seed, device):
        for number in range(1, config.epochs + 1):
            _thaw(model, plan, number)
            epoch = _run_epoch(number, learner, data, shuffle, reporters)
            epochs.append(epoch)
            if best is None or epoch.val_loss < best.val_loss:
                best = epoch
                best_weights = copy.deepcopy(model.state_dict()) if config.keep_best else {}
            if config.patience is not None and number - best.epoch >= config.patience:
                break
    assert best is not None
    if not config.keep_best:
        return Fit(tuple(epochs), kept=epochs[-1])
    model.load_state_dict(best_weights)
    return Fit(tuple(epochs), kept=best)


def _run_epoch(
    number: int,
    learner: "_Learner",
    data: TrainVal,
    shuffle: torch.Generator,
    reporters: Sequence[Reporter],
) -> Epoch:
    learner.model.train()
    total = 0.0
    started = time.perf_counter()
    for images, labels in batches(data.train, learner.config.batch_size, shuffle):
        rate = learner.rate
        total += learner.step(images, labels) * len(labels)
        for reporter in reporters:
            reporter.on_batch(len(labels))
    seconds = time.perf_counter() - started
    val = score(learner.model, data.val)
    epoch = Epoch(
        epoch=number,
        train_loss=total / len(data.train),
        val_loss=_finite(val.loss, "validation", learner.config),
        val_accuracy=val.accuracy,
        learning_rate=rate,
        images_per_second=len(data.train) / seconds,
    )
    for reporter in reporters:
        reporter.on_epoch(epoch)
    return epoch


class _Learner:
    """A model, and what updates it batch by batch."""

    def __init__(
        self,
        model: Network,
        config: TrainConfig,
        plan: Sequence[LayerPlan],
        seed: int,
        device: torch.device,
        images: int,
    ) -> None:
        self.model, self.config = model, config
        self._augmentation = generator(seed, "augmentation", device)
        # bfloat16 is several times faster than float32 on a GPU, and slower on most CPUs.
        self._autocast = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
        self._optimizer = build_optimizer(model.layers, plan, config.optimizer)
        steps_per_epoch = math.ceil(images / config.batch_size)
        self._schedule = build_schedule(
            self._optimizer, config.schedule, config.epochs, steps_per_epoch
        )

    @property
    def rate(self) -> float:
        """The learning rate of the head at the next batch."""
        return float(self._optimizer.param_groups[-1]["lr"])

    def step(self, images: Tensor, labels: Tensor) -> float:
        """Take one optimizer step; returns the loss before it."""
        pixels = augment(as_pixels(images), self.config.augment, self._augmentation)
        with self._autocast:
            logits = self.model(pixels)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.config.label_smoothing)
        value = _finite(loss.item(), "training", self.config)
        self._optimizer.zero_grad()
        loss.backward()
        if self.config.clip_norm is not None:
            clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self._optimizer.step()
        self._schedule.step()
        return value


def _finite(loss: float, what: str, config: TrainConfig) -> float:
    if math.isfinite(loss):
        return loss
    raise DivergedError(
        f"the {what} loss became {loss}: most often optimizer.learning_rate is too high "
        f"(here {config.optimizer.learning_rate:g}); lower it, or set clip_norm"
    )


def _thaw(model: Network, plan: Sequence[LayerPlan], epoch: int) -> None:
    for layer, planned in zip(model.layers, plan, strict=True):
        layer.requires_grad_(epoch >= planned.from_epoch)


@contextmanager
def _dropout_from(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's global generator, which dropout uses, and restore it afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(generator(seed, "dropout").initial_seed())
        yield
