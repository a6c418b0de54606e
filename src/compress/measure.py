"""What models cost to use, and what they achieve."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

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
RUNS = 50  # in turn; the latency is their median


@dataclass(frozen=True)
class Cost:
    """multiply_adds: for one image; size: bytes of the exported file.

    seconds: by images at a time; ratios: how many times the model is as fast as the original, the
    median over runs in turn.
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
    ordered, home = plan.ordered(made), plan.params.home
    firsts = [next(group) for _, group in groupby(ordered, key=lambda key: key.name)]
    costs = _costs(plan, {key: checkpoints[key] for key in firsts}, checkpoints, images)
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
    plan: Plan,
    chosen: Mapping[Key, Checkpoint],
    checkpoints: Mapping[Key, Checkpoint],
    images: Mapping[str, ImageSet],
) -> dict[Key, Cost]:
    exported = {key: as_exported(checkpoint) for key, checkpoint in chosen.items()}
    engines = {key: engine for key, (engine, _) in exported.items()}
    pixels = images[f"{plan.params.home}.test"].images.numpy()
    taken = {batch: _in_turn(engines, pixels[:batch]) for batch in BATCHES}
    original, found = plan.keys(plan.original)[0], {}
    for key in chosen:
        network = _network(plan, checkpoints, key)
        found[key] = Cost(
            sum(weights.numel() for weights in network.parameters()),
            sum(multiply_adds(network, checkpoints[key].image_shape)),
            exported[key][1],
            {batch: statistics.median(times[key]) for batch, times in taken.items()},
            {
                batch: statistics.median(np.divide(times[original], times[key]).tolist())
                for batch, times in taken.items()
            },
        )
    return found


def _in_turn(engines: Mapping[Key, Engine], pixels: np.ndarray) -> dict[Key, list[float]]:
    """Seconds for the images, of each engine in each of RUNS rounds."""
    taken: dict[Key, list[float]] = {key: [] for key in engines}
    for engine in engines.values():
        engine.run(pixels)  # the first time takes longer
    for _ in range(RUNS):
        for key, engine in engines.items():
            begun = time.perf_counter()
            engine.run(pixels)
            taken[key].append(time.perf_counter() - begun)
    return taken


def _network(plan: Plan, checkpoints: Mapping[Key, Checkpoint], key: Key) -> Network:
    """A model, or if it has 8 bits, what it was made of: it has as many parameters."""
    model = checkpoints[key].model
    if isinstance(model, Network):
        return model
    return _network(plan, checkpoints, plan.key_of(plan.parent(key.name), key.seed))
