"""One update of a model from one batch: what distillation or private training replaces."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from src.config.sections import TrainConfig
from src.core.errors import UserError
from src.core.runtime import generator
from src.data.augment import augment
from src.data.imageset import ImageSet
from src.models.network import Network
from src.models.scoring import as_pixels
from src.training.optim import LayerPlan, Schedule, build_optimizer


class DivergedError(UserError):
    """A loss is no longer a finite number."""


class Step:
    """Cross-entropy, its gradient, and one step of the optimizer.

    A subclass replaces `loss`, the number to lower, or `update`, the way from it to new weights;
    `fit` is given the subclass' instance. model and data are on one device; plan: how each of
    `model.layers` is trained; seed: draws the augmentation.
    """

    def __init__(
        self,
        model: Network,
        config: TrainConfig,
        plan: Sequence[LayerPlan],
        data: ImageSet,
        seed: int,
    ) -> None:
        device = data.labels.device
        self.model, self.config, self.plan = model, config, plan
        self._augmentation = generator(seed, "augmentation", device)
        # bfloat16 is several times faster than float32 on a GPU, and slower on most CPUs.
        self._autocast = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
        self.optimizer = build_optimizer(model.layers, plan, config.optimizer)
        steps_per_epoch = math.ceil(len(data) / config.batch_size)
        self.schedule = Schedule(self.optimizer, config.schedule, config.epochs, steps_per_epoch)

    @property
    def rate(self) -> float:
        """The learning rate of the head at the next batch."""
        return float(self.optimizer.param_groups[-1]["lr"])

    def begin_epoch(self, number: int) -> None:
        """Let the layers learn that do so in this epoch, from 1."""
        for layer, planned in zip(self.model.layers, self.plan, strict=True):
            layer.requires_grad_(number >= planned.from_epoch)
        self.model.train()

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Take one step; returns the loss before it, a scalar on the model's device.

        images: uint8 [B, C, H, W]; labels: int64 [B]. The loss is not looked at here: a GPU would
        have to wait for it.
        """
        pixels = augment(as_pixels(images), self.config.augment, self._augmentation)
        with self._autocast:
            logits = self.model(pixels)
        loss = self.loss(pixels, logits.float(), labels)
        self.update(loss)
        return loss.detach()

    def loss(self, pixels: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """What to lower, a scalar. pixels: as the model has seen them; logits: float32."""
        return F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)

    def update(self, loss: Tensor) -> None:
        """Change the weights by the gradient of `loss`, and move on in the schedule."""
        self.optimizer.zero_grad()
        loss.backward()
        if self.config.clip_norm is not None:
            clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.schedule.step()


def finite(loss: float, what: str, config: TrainConfig) -> float:
    """`loss`, if it is a finite number; otherwise a DivergedError calls it the `what` loss."""
    if math.isfinite(loss):
        return loss
    raise DivergedError(
        f"the {what} loss became {loss}: most often optimizer.learning_rate is too high "
        f"(here {config.optimizer.learning_rate:g}); lower it, or set clip_norm"
    )
