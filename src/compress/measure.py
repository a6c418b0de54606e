"""What models cost to use, and what they achieve."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from src.compress.plan import Key, Made, Plan
from src.config.sections import EvaluateConfig
from src.data.imageset import ImageSet
from src.evaluation.predictions import Evaluation, evaluate
from src.evaluation.robustness import under_corruptions
from src.inference.engines import Engine
from src.inference.exporting import as_exported
from src.models.checkpoint import Checkpoint, from_bytes
from src.models.cost import multiply_adds
from src.models.network import Network

CPU = torch.device("cpu")
BATCHES = (1, 64)  # images at a time, for which the latency is measured
ROUNDS, WARM_UP = 50, 5  # in each, every model is timed once; the latency is the median


@dataclass(frozen=True)
class Cost:
    """multiply_adds: for one image; size: bytes, as `as_exported` tells.

    seconds: by images at a time, on one thread; ratios: how many times as fast as the original, the
    median over rounds.
    """

    parameters: int
    multiply_adds: int
    size: int
    seconds: Mapping[int, float]
    ratios: Mapping[int, float]


@dataclass(frozen=True)
class Model:
    """home: the data that it is for; val: on its validation images; tests: by role.

    cost and corrupted, the mean accuracy over all corruptions, are of the first seed only.
    """

    key: Key
    seconds: float  # of its training
    home: str
    val: Evaluation
    tests: Mapping[str, Evaluation]
    cost: Cost | None
    corrupted: float | None

    @property
    def home_test(self) -> Evaluation:
        return self.tests[self.home]


def measure(
    plan: Plan, made: Made, images: Mapping[str, ImageSet], config: EvaluateConfig
) -> list[Model]:
    """All models, the original first; those of one name beside each other."""
    checkpoints = {key: from_bytes(each.content, CPU, str(key)) for key, each in made.items()}
    ordered, home = plan.ordered(made), plan.params.original.home
    firsts = [next(group) for _, group in groupby(ordered, key=lambda key: key.name)]
    costs = dict(
        zip(firsts, _costs(plan, firsts, checkpoints, images[f"{home}.test"]), strict=True)
    )
    corrupted = under_corruptions(
        {str(key): (checkpoints[key], images[f"{home}.test"]) for key in firsts},
        plan.params.seed,
    )
    means = corrupted[corrupted["severity"] > 0].groupby("model")["accuracy"].mean()
    return [
        Model(
            key,
            made[key].seconds,
            home,
            evaluate(checkpoints[key], images[f"{home}.val"], config),
            {
                role: evaluate(checkpoints[key], images[f"{role}.test"], config)
                for role in ("source", "target")
            },
            costs.get(key),
            means.get(str(key)),
        )
        for key in ordered
    ]


def _costs(
    plan: Plan, keys: Sequence[Key], checkpoints: Mapping[Key, Checkpoint], images: ImageSet
) -> list[Cost]:
    """Of these models, of which the first is the original."""
    exported = [as_exported(checkpoints[key], threads=1) for key in keys]
    engines = [engine for engine, _ in exported]
    times = {batch: in_turn(engines, _repeated(images.images, batch)) for batch in BATCHES}
    found = []
    for place, (key, (_, size)) in enumerate(zip(keys, exported, strict=True)):
        network = _network(plan, checkpoints, key)
        seconds = {batch: float(np.median(times[batch][place])) for batch in BATCHES}
        ratios = {
            batch: float(np.median(times[batch][0] / times[batch][place])) for batch in BATCHES
        }
        parameters = sum(weights.numel() for weights in network.parameters())
        operations = sum(multiply_adds(network, images.image_shape))
        found.append(Cost(parameters, operations, size, seconds, ratios))
    return found


def _repeated(images: Tensor, count: int) -> np.ndarray:
    """The first images, again and again if there are too few."""
    return images[torch.arange(count) % len(images)].numpy()


def in_turn(engines: Sequence[Engine], pixels: np.ndarray) -> np.ndarray:
    """Seconds for the images, float64 [engines, ROUNDS]; each round begins with another engine."""
    taken = np.zeros((len(engines), WARM_UP + ROUNDS))
    for number in range(WARM_UP + ROUNDS):
        for place in np.roll(range(len(engines)), number).tolist():
            begun = time.perf_counter()
            engines[place].run(pixels)
            taken[place, number] = time.perf_counter() - begun
    return taken[:, WARM_UP:]


def _network(plan: Plan, checkpoints: Mapping[Key, Checkpoint], key: Key) -> Network:
    """A model, or if it has 8 bits, what it was made from: it has as many parameters."""
    model = checkpoints[key].model
    if isinstance(model, Network):
        return model
    return _network(plan, checkpoints, plan.key_of(plan.parent(key.name), key.seed))
