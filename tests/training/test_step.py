"""What replaces a step's loss or its update does so in the one loop."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from src.data.imageset import TrainVal
from src.data.splits import Splits
from src.models.scoring import as_pixels, predict
from src.training.fit import fit
from src.training.optim import LayerPlan
from src.training.scratch import train_from_scratch
from src.training.step import Step
from tests.conftest import shrunk
from tests.training.test_fit import fresh

PARAMS = shrunk(train__augment__shift=0, train__augment__rotation=0, train__augment__scale=0)


class Distillation(Step):
    """Lowers the distance to a teacher's predictions, and sees no label."""

    teacher: torch.nn.Module

    def loss(self, pixels: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            taught = self.teacher(pixels).softmax(1)
        return F.cross_entropy(logits, taught)


def test_a_student_learns_from_a_teacher_through_the_loss(few: Splits) -> None:
    config = shrunk(train__epochs=12).train
    teacher = train_from_scratch(PARAMS.model, config, few.train, few.val, 0).checkpoint.model
    blank = replace(few.train, labels=torch.zeros_like(few.train.labels))
    student = fresh(few.train, seed=1)
    step = Distillation(student, config, [LayerPlan()] * len(student.layers), blank, 1)
    step.teacher = teacher.eval()
    fit(step, TrainVal(blank, few.val), 1)
    taught, learned = (predict(model, few.train).argmax(1) for model in (teacher, student))
    assert (taught == learned).double().mean() > 0.6  # by chance, 0.1


class Frozen(Step):
    """Counts the losses, and moves no weight."""

    seen: list[float]

    def update(self, loss: Tensor) -> None:
        self.seen.append(loss.item())


def test_an_update_decides_what_becomes_of_the_weights(few: Splits) -> None:
    model = fresh(few.train)
    before = {name: weights.clone() for name, weights in model.named_parameters()}
    step = Frozen(model, PARAMS.train, [LayerPlan()] * len(model.layers), few.train, 0)
    step.seen = []
    fit(step, TrainVal(few.train, few.val), 0)
    assert len(step.seen) == 2 * 13  # epochs, batches of at most 32
    assert all(weights.equal(before[name]) for name, weights in model.named_parameters())


def test_a_step_returns_the_loss_before_it(few: Splits) -> None:
    config = PARAMS.train.model_copy(update={"label_smoothing": 0.0})
    model = fresh(few.train, model__dropout=0.0)
    step = Step(model, config, [LayerPlan()] * len(model.layers), few.train, 0)
    step.begin_epoch(1)
    images, labels = few.train.images[:32], few.train.labels[:32]
    expected = F.cross_entropy(model(as_pixels(images)), labels).item()
    assert step(images, labels).item() == expected
    assert step(images, labels).item() != expected
