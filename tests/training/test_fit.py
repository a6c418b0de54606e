import copy
import math
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.nn import functional as F
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from src.config.sections import TrainConfig
from src.config.values import flatten
from src.core.progress import Epoch, Reporter
from src.core.runtime import generator, set_up
from src.data.imageset import ImageSet, TrainVal, batches
from src.data.splits import Splits
from src.models.build import build_model
from src.models.network import Network
from src.models.scoring import Score, as_pixels, predict, score
from src.training.fit import Fit, fit
from src.training.optim import LayerPlan
from src.training.step import DivergedError, Step
from tests.conftest import shrunk

PLAIN: dict[str, Any] = {
    "model__dropout": 0.0,
    "train__label_smoothing": 0.0,
    "train__augment__shift": 0,
    "train__augment__rotation": 0,
    "train__augment__scale": 0,
    "train__schedule__name": "constant",
}


def fresh(data: ImageSet, seed: int = 0, **changes: Any) -> Network:
    return build_model(
        shrunk(**changes).model,
        data.image_shape,
        10,
        data.mean,
        data.std,
        generator(seed, "weights"),
    )


def run(
    model: Network, splits: Splits, config: TrainConfig, seed: int = 0, *reporters: Reporter
) -> Fit:
    plan = [LayerPlan()] * len(model.layers)
    step = Step(model, config, plan, splits.train, seed)
    return fit(step, TrainVal(splits.train, splits.val), seed, reporters)


def test_initial_loss_is_that_of_guessing(few: Splits) -> None:
    assert score(fresh(few.train), few.train).loss == pytest.approx(math.log(10), abs=0.1)


def test_one_batch_can_be_learned_by_heart(few: Splits) -> None:
    batch = few.train.subset(torch.arange(32))
    config = shrunk(**PLAIN, train__epochs=60, train__optimizer__learning_rate=0.01).train
    model = fresh(batch, **PLAIN)
    fitted = run(model, few._replace(train=batch), config)
    assert fitted.epochs[-1].train_loss < 0.001
    assert score(model, batch).accuracy == 1.0


def test_without_input_only_the_base_rate_is_learned(mnist_5k: Splits) -> None:
    """Half the labels are 0: blank images leave nothing else to learn."""
    labels = mnist_5k.train.labels.clone()
    zeroed = torch.rand(len(labels), generator=generator(0, "test")) < 0.5
    labels[zeroed] = 0
    blank = replace(
        mnist_5k.train, images=torch.zeros_like(mnist_5k.train.images), labels=labels
    ).subset(torch.arange(1200))
    config = shrunk(**PLAIN, train__epochs=3).train
    model = fresh(blank, **PLAIN)
    run(model, Splits(blank, blank, blank), config)
    rates = blank.labels.bincount(minlength=10) / len(blank)
    entropy = -(rates * rates.log()).sum().item()
    assert score(model, blank).loss == pytest.approx(entropy, abs=0.05)
    assert score(model, blank).accuracy == pytest.approx(rates[0].item())


def test_learning_reaches_most_digits(mnist_5k: Splits) -> None:
    model = fresh(mnist_5k.train)
    fitted = run(model, mnist_5k, shrunk(train__epochs=3).train)
    assert fitted.kept.val_accuracy > 0.85
    assert fitted.epochs[-1].val_loss < fitted.epochs[0].val_loss


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_gives_the_same_bits(few: Splits, threads: int) -> None:
    torch.set_num_threads(threads)
    config = shrunk(train__batch_size=32).train
    weights = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)  # the global generator must not matter
        model = fresh(few.train)
        fitted = run(model, few, config)
        weights.append((model.state_dict(), [epoch.val_loss for epoch in fitted.epochs]))
    assert all(torch.equal(weights[0][0][name], weights[1][0][name]) for name in weights[0][0])
    assert weights[0][1] == weights[1][1]


@pytest.mark.parametrize(("name", "tolerance"), [("sgd", 1e-4), ("adamw", 1e-3)])
def test_fit_agrees_with_a_textbook_loop(few: Splits, name: str, tolerance: float) -> None:
    """One in float64 on contiguous images, with the activation before the pool and PyTorch's
    schedule and plain optimizer: weights agree within `tolerance` after two epochs.

    With a large epsilon: Adam divides by a gradient's size, so one of about 0 is all rounding.
    """
    config = shrunk(
        **PLAIN | {"train__schedule__name": "cosine"},
        train__optimizer__name=name,
        train__optimizer__learning_rate=0.01,
        train__optimizer__epsilon=0.01,
    ).train
    model = fresh(few.train, **PLAIN).to(memory_format=torch.channels_last)
    textbook = copy.deepcopy(model).double().to(memory_format=torch.contiguous_format).train()
    run(model, few, config)

    weights, bias = textbook.head.parameters()

    def forward(images: Tensor) -> Tensor:
        maps = (images.double() - textbook.mean) / textbook.std
        for block in textbook.get_submodule("convolutions").children():
            convolution, norm, pool, activation = block.children()
            maps = pool(activation(norm(convolution(maps))))
        hidden: Tensor = textbook.get_submodule("hidden")(maps.flatten(1))
        return hidden @ weights.T + bias

    optimizer = (
        SGD(textbook.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=0.01)
        if name == "sgd"
        else AdamW(textbook.parameters(), 0.01, eps=0.01, foreach=False)
    )
    steps = config.epochs * math.ceil(len(few.train) / config.batch_size)
    schedule, shuffle = CosineAnnealingLR(optimizer, steps), generator(0, "shuffle")
    for _ in range(config.epochs):
        for images, labels in batches(few.train, config.batch_size, shuffle):
            optimizer.zero_grad()
            F.cross_entropy(forward(images), labels).backward()
            optimizer.step()
            schedule.step()
    for here, there in zip(model.parameters(), textbook.parameters(), strict=True):
        torch.testing.assert_close(here.double(), there, rtol=0, atol=tolerance)


def test_another_seed_gives_other_weights(few: Splits) -> None:
    config = shrunk().train
    models = [fresh(few.train), fresh(few.train)]
    for seed, model in enumerate(models):
        run(model, few, config, seed)
    assert not torch.equal(*(model.state_dict()["head.1.weight"] for model in models))


def test_the_global_generator_is_left_as_it_was(few: Splits) -> None:
    state = torch.get_rng_state()
    run(fresh(few.train), few, shrunk(train__epochs=1).train)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "one_cycle"])
def test_every_optimizer_and_schedule_learns(few: Splits, optimizer: str, schedule: str) -> None:
    config = shrunk(
        train__epochs=3,
        train__optimizer__name=optimizer,
        train__optimizer__learning_rate=0.03 if optimizer == "sgd" else 0.003,
        train__schedule__name=schedule,
    ).train
    fitted = run(fresh(few.train), few, config)
    assert fitted.epochs[-1].train_loss < fitted.epochs[0].train_loss


@pytest.mark.parametrize("keep_best", [True, False])
def test_a_diverging_fit_ends_before_the_epoch_is_kept_or_reported(
    few: Splits, keep_best: bool
) -> None:
    model = fresh(few.train)

    class Breaks(Recorder):
        def on_epoch(self, epoch: Epoch) -> None:
            super().on_epoch(epoch)
            with torch.no_grad():
                model.head[1].bias.fill_(float("inf"))  # type: ignore[operator]

    breaks = Breaks(model)
    config = shrunk(train__epochs=3, train__keep_best=keep_best).train
    with pytest.raises(DivergedError, match=r"training loss became nan.*learning_rate"):
        run(model, few, config, 0, breaks)
    assert [epoch.epoch for epoch in breaks.epochs] == [1]
    assert breaks.images == 2 * 400


def fill_gradients(model: Network) -> None:
    for weights in model.parameters():
        weights.grad = torch.ones_like(weights)


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
def test_an_epoch_on_a_gpu_waits_for_nothing_and_mixes_no_devices(
    few: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On tensors without values, that only say where they are: a look at one raises an error."""
    # A device that is not there has no generator, and no backward pass.
    monkeypatch.setattr("src.training.step.generator", lambda *_: None)
    monkeypatch.setattr("src.training.fit._dropout_from", lambda *_: nullcontext())
    config, model = shrunk(train__clip_norm=1.0).train, fresh(few.train)
    with FakeTensorMode(allow_non_fake_inputs=True):
        device = torch.device("cuda")
        train, val = (data.to(device) for data in (few.train, few.val))
        recorder = Recorder(model.to(device))
        monkeypatch.setattr(torch.Tensor, "backward", lambda _: fill_gradients(model))
        monkeypatch.setattr(torch.Tensor, "cpu", None)  # it would wait, and say nothing
        with pytest.raises(DataDependentOutputException):  # the loss of the epoch
            run(model, few._replace(train=train, val=val), config, 0, recorder)
        assert recorder.images == 400
        assert predict(model, val).device.type == "cuda"


def test_a_rate_far_too_high_ends_in_one_line(few: Splits) -> None:
    config = shrunk(
        train__optimizer__name="sgd", train__optimizer__learning_rate=100, train__epochs=9
    ).train
    with pytest.raises(DivergedError) as refusal:
        run(fresh(few.train, model__batch_norm=False), few, config)
    assert "\n" not in str(refusal.value)


class Recorder(Reporter):
    """Remembers what is reported to it, and the model at the end of each epoch."""

    def __init__(self, model: Network) -> None:
        self.model = model
        self.images = 0
        self.epochs: list[Epoch] = []
        self.heads: list[torch.Tensor] = []

    def on_batch(self, images: int) -> None:
        self.images += images

    def on_epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)
        self.heads.append(self.model.state_dict()["head.1.weight"].clone())


def test_reporters_are_told_of_every_image_and_epoch(few: Splits) -> None:
    model = fresh(few.train)
    recorder = Recorder(model)
    fitted = run(model, few, shrunk(train__epochs=3).train, 0, recorder)
    assert recorder.images == 3 * 400
    assert tuple(recorder.epochs) == fitted.epochs
    assert [epoch.epoch for epoch in fitted.epochs] == [1, 2, 3]
    assert fitted.epochs[-1].val_loss == pytest.approx(score(model, few.val).loss)


@pytest.fixture
def val_losses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Validation losses for the epochs to come, to be filled in, instead of those measured."""
    losses: list[float] = []
    monkeypatch.setattr("src.training.fit.score", lambda *_: Score(losses.pop(0), 0.5))
    return losses


@pytest.mark.parametrize(("keep_best", "kept"), [(True, 2), (False, 4)])
def test_the_weights_kept_are_the_best_or_the_last(
    few: Splits, val_losses: list[float], keep_best: bool, kept: int
) -> None:
    val_losses += [0.5, 0.3, 0.4, 0.6]
    model = fresh(few.train)
    recorder = Recorder(model)
    config = shrunk(train__epochs=4, train__keep_best=keep_best).train
    fitted = run(model, few, config, 0, recorder)
    assert fitted.kept == fitted.epochs[kept - 1]
    assert torch.equal(model.state_dict()["head.1.weight"], recorder.heads[kept - 1])
    assert not torch.equal(recorder.heads[1], recorder.heads[3])


def test_patience_stops_after_so_many_epochs_without_a_better_one(
    few: Splits, val_losses: list[float]
) -> None:
    val_losses += [0.5, 0.6, 0.4, 0.41, 0.4, 0.3, 0.2]
    fitted = run(fresh(few.train), few, shrunk(train__epochs=7, train__patience=2).train)
    assert [epoch.val_loss for epoch in fitted.epochs] == [0.5, 0.6, 0.4, 0.41, 0.4]


def training_inputs(few: Splits, **changes: Any) -> list[torch.Tensor]:
    """The pixels given to the network in training mode, one tensor per epoch of two."""
    model = fresh(few.train, **changes)
    seen: list[torch.Tensor] = []

    def watch(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
        assert output.dtype == torch.float32  # bfloat16 is for GPUs
        if module.training:
            seen.append(inputs[0])

    model.register_forward_hook(watch)
    run(model, few, shrunk(**changes, train__epochs=2).train)
    return list(torch.cat(seen).split(400))


def test_each_epoch_has_every_image_in_training_mode_in_an_order_of_its_own(few: Splits) -> None:
    epochs = training_inputs(few, **PLAIN)
    images = {image.numpy().tobytes() for image in as_pixels(few.train.images)}
    assert len(epochs) == 2
    for epoch in epochs:
        assert {image.numpy().tobytes() for image in epoch} == images
    assert not torch.equal(*epochs)


def test_each_epoch_augments_anew(few: Splits) -> None:
    first, second = training_inputs(few, **{**PLAIN, "train__augment__shift": 2.0})
    stored = {image.numpy().tobytes() for image in as_pixels(few.train.images)}
    drawn = [{image.numpy().tobytes() for image in epoch} for epoch in (first, second)]
    assert not drawn[0] & stored
    assert not drawn[0] & drawn[1]


def test_the_learning_rate_reported_is_that_of_the_last_batch(few: Splits) -> None:
    config = shrunk(
        train__epochs=3,
        train__optimizer__learning_rate=0.01,
        train__schedule__name="step",
        train__schedule__step_epochs=1,
        train__schedule__step_factor=0.5,
    ).train
    fitted = run(fresh(few.train), few, config)
    assert [epoch.learning_rate for epoch in fitted.epochs] == [0.01, 0.005, 0.0025]


# Its keys are not those of the CNN, so `model.name` changes with the whole section.
MLP = {
    "name": "mlp",
    "normalisation": "dataset",
    "hidden": [16],
    "activation": "relu",
    "dropout": 0.3,
    "initialisation": "fan_in",
}

# Every value of `model` and `train`: another one, and what else must hold for it to matter.
ALIVE: dict[str, tuple[Any, dict[str, Any]]] = {
    "model": (
        MLP,
        {"tune__space": {"train.epochs": {"type": "int", "low": 1, "high": 9, "log": False}}},
    ),
    "model.normalisation": ("unit", {}),
    "model.channels": ([4, 9], {}),
    "model.padding": ("valid", {}),
    "model.kernel_sizes": ([3, 5], {}),
    "model.strides": ([2, 1], {}),
    "model.batch_norm": (False, {}),
    "model.activation": ("gelu", {}),
    "model.pool": ("average", {}),
    "model.pool_size": (3, {}),
    "model.hidden": ([8], {}),
    "model.dropout": (0.5, {}),
    "model.initialisation": ("glorot", {}),
    "train.epochs": (3, {}),
    "train.batch_size": (64, {}),
    "train.optimizer.name": ("adam", {}),
    "train.optimizer.learning_rate": (0.004, {}),
    "train.optimizer.weight_decay": (0.5, {}),
    "train.optimizer.momentum": (0.5, {"train__optimizer__name": "sgd"}),
    "train.optimizer.nesterov": (False, {"train__optimizer__name": "sgd"}),
    "train.optimizer.betas": ([0.8, 0.9], {}),
    "train.optimizer.epsilon": (0.1, {}),
    "train.schedule.name": ("cosine", {}),
    "train.schedule.warmup": (0.5, {}),
    "train.schedule.step_epochs": (1, {"train__schedule__name": "step"}),
    "train.schedule.step_factor": (
        0.5,
        {"train__schedule__name": "step", "train__schedule__step_epochs": 1},
    ),
    "train.augment.shift": (1.0, {}),
    "train.augment.rotation": (5.0, {}),
    "train.augment.scale": (0.3, {}),
    "train.label_smoothing": (0.3, {}),
    "train.clip_norm": (0.1, {}),
    "train.patience": (1, {"train__epochs": 4}),
    "train.keep_best": (True, {"train__epochs": 4}),
}


def test_the_list_of_values_is_complete() -> None:
    params = shrunk().model_dump()
    named = [*flatten({key: params[key] for key in ("model", "train")})]
    assert list(ALIVE) == ["model" if key == "model.name" else key for key in named]


@pytest.mark.parametrize("key", ALIVE)
def test_every_value_acts(few: Splits, val_losses: list[float], key: str) -> None:
    value, conditions = ALIVE[key]
    weights = []
    for changes in (conditions, {**conditions, key.replace(".", "__"): value}):
        model = fresh(few.train, **changes)
        val_losses[:] = [0.5, 0.4, 0.6, 0.6]
        run(model, few, shrunk(**changes).train)
        weights.append(predict(model, few.test))
    assert not torch.equal(*weights)


def test_clipping_bounds_the_step(few: Splits) -> None:
    """A plain SGD step is the rate times the gradient, whose norm is clipped."""
    config = shrunk(
        **PLAIN,
        train__epochs=1,
        train__batch_size=400,
        train__clip_norm=0.001,
        train__optimizer__name="sgd",
        train__optimizer__momentum=0.0,
        train__optimizer__weight_decay=0.0,
        train__optimizer__learning_rate=1.0,
    ).train
    model = fresh(few.train, **PLAIN)
    before = torch.cat([value.detach().flatten() for value in model.parameters()])
    run(model, few, config)
    after = torch.cat([value.detach().flatten() for value in model.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.001, rel=1e-3)


def test_label_smoothing_is_in_the_training_loss(few: Splits) -> None:
    """A smoothed loss cannot fall below the entropy of the smoothed labels."""
    batch = few.train.subset(torch.arange(32))
    changes = {**PLAIN, "train__label_smoothing": 0.2, "train__epochs": 40}
    model = fresh(batch, **changes)
    fitted = run(model, few._replace(train=batch), shrunk(**changes).train)
    target = torch.full((10,), 0.02)
    target[0] += 0.8
    assert fitted.epochs[-1].train_loss > -(target * target.log()).sum().item()


def test_prediction_is_that_of_the_model_whatever_the_batches(few: Splits) -> None:
    model = fresh(few.train).eval()
    many = few.train.subset(torch.arange(400).repeat(3))
    with torch.no_grad():
        expected = model(as_pixels(few.train.images))
    assert torch.allclose(predict(model, many), expected.repeat(3, 1), atol=1e-5)
    assert score(model, few.val).loss == pytest.approx(
        F.cross_entropy(predict(model, few.val), few.val.labels).item()
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_learns_and_repeats_itself(few: Splits) -> None:
    device = set_up("cuda", threads=1, portable=False)
    on_device = Splits(*(split.to(device) for split in few))
    weights = []
    for _ in range(2):
        model = fresh(few.train).to(device).to(memory_format=torch.channels_last)
        fitted = run(model, on_device, shrunk(train__epochs=3).train)
        assert fitted.epochs[-1].train_loss < fitted.epochs[0].train_loss
        weights.append(model.state_dict())
    assert weights[0]["head.1.weight"].is_cuda
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
