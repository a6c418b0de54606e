"""Train a smaller network on the answers of a larger one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.config.compression import DistilConfig
from src.config.sections import TrainConfig
from src.core.progress import Reporter
from src.data.imageset import ImageSet, TrainVal
from src.models.checkpoint import Checkpoint
from src.models.network import Network
from src.training.fit import fit
from src.training.optim import LayerPlan
from src.training.scratch import Trained
from src.training.step import Step


class DistilStep(Step):
    """A Step that lowers the distance to a teacher's probabilities, and the cross-entropy.

    The distance is the Kullback-Leibler divergence of softened probabilities; teacher and student
    see the same augmented images. Source: Hinton, Vinyals and Dean, 2015.
    """

    def __init__(
        self,
        model: Network,
        config: TrainConfig,
        plan: Sequence[LayerPlan],
        data: ImageSet,
        seed: int,
        teacher: nn.Module,
        distil: DistilConfig,
    ) -> None:
        super().__init__(model, config, plan, data, seed)
        self._teacher, self._distil = teacher.eval(), distil

    def loss(self, pixels: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        weight, temperature = self._distil.weight, self._distil.temperature
        own = super().loss(pixels, logits, labels)
        if weight == 0:
            return own
        with torch.no_grad(), self._autocast:
            wanted = self._teacher(pixels)
        distance = F.kl_div(
            (logits / temperature).log_softmax(1),
            (wanted.float() / temperature).log_softmax(1),
            reduction="batchmean",
            log_target=True,
        )
        # The square keeps the size of the gradient the same at any temperature.
        return weight * temperature**2 * distance + (1 - weight) * own


def distil(
    student: Checkpoint,
    teacher: Checkpoint,
    config: TrainConfig,
    distil_config: DistilConfig,
    data: TrainVal,
    seed: int,
    reporters: Sequence[Reporter] = (),
) -> Trained:
    """Fit the student, in place; data, teacher and student have the same classes."""
    network = student.network
    plan = [LayerPlan()] * len(network.layers)
    step = DistilStep(network, config, plan, data.train, seed, teacher.model, distil_config)
    return Trained(student, fit(step, data, seed, reporters))
