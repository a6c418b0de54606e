"""Rows 6 and 7: a sweep, against Optuna around training loops as they are usually written.

    python -m benchmarks.sweep

Ours is `python -m src.tune --trials 50 --workers 2` in a copy of the repository, with params.yaml
as it is. Row 7 takes the whole command, with confirmation and report, against the half hour that it
took before. Row 6 takes a trial: the time from the start of the first one to the end of the last
one, over 50. Its peers search the same space with the same epochs, on the tensors that `make repro`
left, and confirm and record nothing:

- one trial after the other, none pruned, each with the DataLoader of benchmarks.batches
  (torchvision transforms per image, two workers), on two threads. Five trials of EPOCHS epochs,
  scaled to all.
- two at a time, with Optuna's median pruner as it comes, images in memory and augmented with one
  draw per batch. Ten trials: the pruner lets the first five pass, and the others stand for 45.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from benchmarks.batches import Single
from benchmarks.rows import record
from benchmarks.trials import sweep
from src.config.params import Params
from src.config.parsing import read
from src.config.sections import AugmentConfig, TrainConfig
from src.core import paths
from src.core.runtime import generator
from src.data.imageset import ImageSet, TrainVal, load_images
from src.models.build import build_model
from src.models.network import Network
from src.models.scoring import score
from src.training.optim import LayerPlan, build_optimizer
from src.tune.space import Space
from tests.clones import clone
from tests.conftest import ROOT

TRIALS, STARTUP = 50, 5  # trials; those that Optuna's median pruner lets pass
EPOCHS = 3  # of each trial of the slower peer
BEFORE = 29 * 60.0  # seconds, on another machine with 2 cores


def ours() -> tuple[float, float]:
    """Seconds of the whole command, and for each trial."""
    with tempfile.TemporaryDirectory() as folder:
        project = clone(Path(folder))
        (project.root / paths.PARAMS).write_bytes((ROOT / paths.PARAMS).read_bytes())
        project.call("dvc", "repro", "preprocess")
        started = time.perf_counter()
        table = sweep(project, "sweep", TRIALS, 2)
        seconds = time.perf_counter() - started
        print((project.root / "reports/tune/sweep/summary.txt").read_text(), flush=True)
    span = table["datetime_complete"].max() - table["datetime_start"].min()
    return seconds, span.total_seconds() / len(table)


def drawn(trial: optuna.Trial, space: Space) -> Params:
    values: dict[str, Any] = {}
    for name, range_ in space.distributions.items():
        match range_:
            case FloatDistribution():
                values[name] = trial.suggest_float(name, range_.low, range_.high, log=range_.log)
            case CategoricalDistribution():
                values[name] = trial.suggest_categorical(name, range_.choices)
    return space.params(values)


def one_by_one(space: Space, data: TrainVal) -> float:
    """Seconds of a trial."""
    torch.set_num_threads(2)

    def train(trial: optuna.Trial) -> float:
        params = drawn(trial, space)
        batch_size = params.train.batch_size
        images = Single(data.train, params.train)
        loader = DataLoader(images, batch_size, shuffle=True, num_workers=2)
        model = fresh(params, data.train)
        for _ in range(EPOCHS):
            usual_epoch(model, loader, params.train)
            loss = score(model, data.val).loss
        return loss

    study = optuna.create_study(sampler=TPESampler(seed=0))
    started = time.perf_counter()
    study.optimize(train, STARTUP)
    return (time.perf_counter() - started) / STARTUP * space.max_epochs() / EPOCHS


def usual_epoch(
    model: nn.Module, loader: DataLoader[tuple[Tensor, int]], config: TrainConfig
) -> None:
    optimizer = build_optimizer([model], [LayerPlan()], config.optimizer)
    model.train()
    for pixels, labels in loader:
        update(model, optimizer, pixels, labels, config)


def update(
    model: nn.Module, optimizer: Optimizer, pixels: Tensor, labels: Tensor, config: TrainConfig
) -> None:
    loss = F.cross_entropy(model(pixels), labels, label_smoothing=config.label_smoothing)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def fresh(params: Params, data: ImageSet) -> Network:
    random = generator(params.seed, "weights")
    return build_model(params.model, data.image_shape, 10, data.mean, data.std, random)


def affine(limits: AugmentConfig) -> v2.Transform:
    return v2.RandomAffine(
        degrees=limits.rotation,
        translate=(limits.shift / 28, limits.shift / 28),
        scale=(1 - limits.scale, 1 + limits.scale),
        interpolation=v2.InterpolationMode.BILINEAR,
    )


def two_jobs(space: Space, data: TrainVal) -> float:
    """Seconds of a trial, as they pass: half of what it takes."""
    torch.set_num_threads(1)

    def train(trial: optuna.Trial) -> float:
        params = drawn(trial, space)
        augmented = affine(params.train.augment)
        model = fresh(params, data.train)
        optimizer = build_optimizer([model], [LayerPlan()], params.train.optimizer)
        for epoch in range(params.train.epochs):
            model.train()
            for chosen in torch.randperm(len(data.train)).split(params.train.batch_size):
                pixels = augmented(data.train.images[chosen].float())
                update(model, optimizer, pixels, data.train.labels[chosen], params.train)
            val_loss = score(model, data.val).loss
            trial.report(val_loss, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return val_loss

    study = optuna.create_study(sampler=TPESampler(seed=0), pruner=MedianPruner())
    study.optimize(train, 2 * STARTUP, n_jobs=2)
    seconds = [trial.duration.total_seconds() for trial in study.trials if trial.duration]
    all_trials = sum(seconds[:STARTUP]) + sum(seconds[STARTUP:]) * (TRIALS / STARTUP - 1)
    return all_trials / TRIALS / 2


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = Space(read())
    data = TrainVal(*(load_images(paths.IMAGE_SETS[f"source.{name}"]) for name in ("train", "val")))
    sequential, parallel = one_by_one(space, data), two_jobs(space, data)
    command, trial = ours()
    loop = "trials one by one, unpruned, in a DataLoader loop"
    record(6, "a trial of a sweep", loop, "s", [(trial, sequential)], 12)
    jobs = "Optuna's median pruner and two jobs, images in memory"
    record(6, "a trial of a sweep, pruned", jobs, "s", [(trial, parallel)], 4)
    half_hour = "before, on another machine"
    record(7, "a sweep of 50 trials, confirmed", half_hour, "s", [(command, BEFORE)], 3)


if __name__ == "__main__":
    main()
