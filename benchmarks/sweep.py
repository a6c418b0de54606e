"""Rows 6 and 7: a sweep, against Optuna around training loops as they are usually written.

    python -m benchmarks.sweep

Ours is `python -m src.tune --trials 50 --workers 2` in a copy of the repository, with params.yaml
as it is. Row 7 takes the whole command, with confirmation and report, against the same command in
the version before the sweep was made faster, with its params.yaml. Then both winners and the
present params.yaml are trained with five more seeds. That prints, but does not record, their
validation losses: with so few seeds, equal ones differ by chance.

Row 6 takes a trial: the time from the start of the first one to the end of the last one, over 50.
Its peers train on the tensors that `make repro` left, and confirm and record nothing. Their first
trials have the values of ours; of so few, the best is not compared:

- one trial after the other, none pruned, each with the DataLoader of benchmarks.batches
  (torchvision transforms per image, two workers), on two threads. Five trials of EPOCHS epochs,
  scaled to all.
- two at a time (`n_jobs=2`), with Optuna's median pruner as it comes, images in memory and
  augmented with one draw per batch. Ten trials: the pruner lets the first five pass, and the others
  stand for 45.
"""

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader

from benchmarks.batches import Single, affine
from benchmarks.checkouts import check_out, copy
from benchmarks.rows import record
from benchmarks.trials import sweep
from src.config.params import Params
from src.config.parsing import read
from src.config.sections import TrainConfig
from src.core import paths
from src.core.runtime import generator
from src.data.checks import parse_params
from src.data.imageset import ImageSet, TrainVal, load_images
from src.models.build import build_model
from src.models.network import Network
from src.models.scoring import score
from src.training.optim import LayerPlan, build_optimizer
from src.training.scratch import train_from_scratch
from src.tune.space import Space
from tests.clones import Clone
from tests.conftest import ROOT

TRIALS, STARTUP = 50, 5  # trials; those that Optuna's median pruner lets pass
EPOCHS = 3  # of each trial of the slower peer
BEFORE = "ceb6b99"  # the last commit whose sweep is the peer
SEEDS = range(100, 105)  # had no part in any choice


@dataclass(frozen=True)
class Swept:
    """A sweep as `src.tune` makes it."""

    seconds: float  # of the whole command
    trials: pd.DataFrame
    winner: Params

    @property
    def seconds_per_trial(self) -> float:
        span = self.trials["datetime_complete"].max() - self.trials["datetime_start"].min()
        return float(span.total_seconds() / len(self.trials))

    def first(self, count: int) -> list[dict[str, Any]]:
        """The values of the first trials."""
        values = self.trials.filter(like="params_").head(count).astype(object)
        return [
            {str(name).removeprefix("params_"): value for name, value in row.items()}
            for row in values.to_dict("records")
        ]


def sweep_in(project: Clone) -> Swept:
    project.call("dvc", "repro", "preprocess")
    started = time.perf_counter()
    table = sweep(project, "sweep", TRIALS, 2)
    seconds = time.perf_counter() - started
    print((project.root / "reports/tune/sweep/summary.txt").read_text(), flush=True)
    project.call("python", "-m", "src.promote", "--study", "sweep")
    return Swept(seconds, table, parse_params(read(project.root / paths.PARAMS)))


def judge(name: str, params: Params, data: TrainVal, test: ImageSet) -> None:
    """Train with SEEDS, on two threads; print the validation loss and the test accuracy."""
    torch.set_num_threads(2)
    losses, accuracies = list[float](), list[float]()
    for seed in SEEDS:
        trained = train_from_scratch(params.model, params.train, data.train, data.val, seed)
        losses.append(trained.fit.kept.val_loss)
        accuracies.append(score(trained.checkpoint.model, test).accuracy)
    print(
        f"{name}: val loss {statistics.mean(losses):.4f} (sd {statistics.stdev(losses):.4f}), "
        f"test accuracy {statistics.mean(accuracies):.2%} over {len(SEEDS)} seeds",
        flush=True,
    )


def draw(trial: optuna.Trial, space: Space) -> Params:
    values: dict[str, Any] = {}
    for name, range_ in space.distributions.items():
        match range_:
            case FloatDistribution():
                values[name] = trial.suggest_float(name, range_.low, range_.high, log=range_.log)
            case IntDistribution():
                values[name] = trial.suggest_int(name, range_.low, range_.high, log=range_.log)
            case CategoricalDistribution():
                values[name] = trial.suggest_categorical(name, range_.choices)
    return space.params(values)


def usual_study(values: list[dict[str, Any]]) -> optuna.Study:
    """A study whose first trials have these values."""
    study = optuna.create_study(sampler=TPESampler(seed=0), pruner=MedianPruner())
    for each in values:
        study.enqueue_trial(each)
    return study


def one_by_one(space: Space, data: TrainVal, values: list[dict[str, Any]]) -> float:
    """Seconds of a trial."""
    torch.set_num_threads(2)

    def train(trial: optuna.Trial) -> float:
        params = draw(trial, space)
        batch_size = params.train.batch_size
        images = Single(data.train, params.train)
        loader = DataLoader(images, batch_size, shuffle=True, num_workers=2)
        model = fresh(params, data.train)
        for _ in range(EPOCHS):
            usual_epoch(model, loader, params.train)
            loss = score(model, data.val).loss
        return loss

    study = usual_study(values)
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


def two_jobs(space: Space, data: TrainVal, values: list[dict[str, Any]]) -> float:
    """Seconds of a trial, as they pass: half of what it takes."""
    torch.set_num_threads(1)

    def train(trial: optuna.Trial) -> float:
        params = draw(trial, space)
        augmented = affine(params.train.augment, data.train.image_shape)
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

    study = usual_study(values)
    study.optimize(train, 2 * STARTUP, n_jobs=2)
    seconds = [trial.duration.total_seconds() for trial in study.trials if trial.duration]
    all_trials = sum(seconds[:STARTUP]) + sum(seconds[STARTUP:]) * (TRIALS / STARTUP - 1)
    return all_trials / TRIALS / 2


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    SGD([torch.zeros(1)])  # the first optimizer of a process imports torch's compiler
    space = Space(read())
    data = TrainVal(*(load_images(paths.IMAGE_SETS[f"source.{name}"]) for name in ("train", "val")))
    test = load_images(paths.IMAGE_SETS["source.test"])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ours = sweep_in(copy(ROOT, folder / "ours"))
        before = sweep_in(copy(check_out(BEFORE, folder / "before"), folder / "theirs"))
    judge("winner", ours.winner, data, test)
    judge("winner before", before.winner, data, test)
    judge("params.yaml", space.params({}), data, test)
    what, peer = "a sweep of 50 trials, confirmed", f"at commit {BEFORE}"
    record(7, what, peer, "s", [(ours.seconds, before.seconds)], 3)
    sequential = one_by_one(space, data, ours.first(STARTUP))
    loop = "trials one by one, unpruned, in a DataLoader loop"
    record(6, "a trial of a sweep", loop, "s", [(ours.seconds_per_trial, sequential)], 12)
    parallel = two_jobs(space, data, ours.first(2 * STARTUP))
    jobs = "Optuna's median pruner and two jobs, images in memory"
    record(6, "a trial of a sweep, pruned", jobs, "s", [(ours.seconds_per_trial, parallel)], 4)


if __name__ == "__main__":
    main()
