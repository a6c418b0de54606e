"""What a CUDA card gives: equal bytes, the time of an epoch, several trainings at once.

    python -m benchmarks.gpu prepare FOLDER     # where the project is installed
    python -m benchmarks.gpu measure FOLDER     # on the card; --device cpu --images 500 tries it

`prepare` needs what `make repro` left, and official MNIST (DATA_MIRROR may name a folder that has
it). `measure` needs of the project's packages only torch, numpy, pandas, safetensors and pydantic.
"""

import argparse
import hashlib
import json
import multiprocessing
import shutil
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter

from src.config.networks import ModelConfig
from src.config.sections import FinetuneConfig, TrainConfig
from src.core import paths
from src.core.progress import Epoch, Reporter
from src.core.runtime import set_up
from src.data.imageset import ImageSet, load_images, save_images
from src.models.checkpoint import to_bytes
from src.models.scoring import predict
from src.training.finetune import finetune, limit_labels
from src.training.scratch import train_from_scratch

SETTINGS, MNIST = "settings.json", "mnist.safetensors"
RECIPES = ("daily", "fast")
EPOCHS = 4  # that are timed, after one that is not
AT_ONCE = (1, 2, 4)
Answer = TypeVar("Answer")
SPAWN = multiprocessing.get_context("spawn")


def prepare(folder: Path) -> None:
    # Imported here: where `measure` runs, they are not there.
    from src.config.params import Params
    from src.data.checks import load_params
    from src.recipes.recipe import Recipe, obtain_splits

    folder.mkdir(parents=True, exist_ok=True)
    recipes = {name: load_params(Recipe, paths.RECIPES / f"{name}.yaml") for name in RECIPES}
    settings = {"stages": load_params(Params), **recipes}
    dumped = {name: each.model_dump(mode="json") for name, each in settings.items()}
    (folder / SETTINGS).write_text(json.dumps(dumped))
    save_images(folder / MNIST, obtain_splits(recipes["daily"], paths.downloads()).train)
    for name, path in paths.IMAGE_SETS.items():
        shutil.copy(path, folder / f"{name}.safetensors")


class Place:
    """What `prepare` left, on a device."""

    def __init__(self, folder: Path, device: str, images: int) -> None:
        """images: of each set at most."""
        self.device = set_up(device, threads=2, portable=False)
        self.settings: dict[str, dict[str, Any]] = json.loads((folder / SETTINGS).read_text())
        self._folder, self._images = folder, images

    def images(self, name: str) -> ImageSet:
        found = load_images(self._folder / name)
        return found.subset(torch.arange(min(self._images, len(found)))).to(self.device)

    def network(self, name: str) -> ModelConfig:
        network: ModelConfig = TypeAdapter(ModelConfig).validate_python(
            self.settings[name]["model"]
        )
        return network


def digests(*place: Any) -> dict[str, str]:
    """Of what the stages write and compute, the SHA-256."""
    here = Place(*place)
    values = here.settings["stages"]
    names = ("source.train", "source.val", "source.test", "target.train", "target.val")
    sets = {name: here.images(f"{name}.safetensors") for name in names}
    seed, config = values["seed"], FinetuneConfig.model_validate(values["finetune"])
    few = limit_labels(sets["target.train"], config.labels_per_class, seed)
    network, val = here.network("stages"), sets["target.val"]
    base = train_from_scratch(
        network,
        TrainConfig.model_validate(values["train"]),
        sets["source.train"],
        sets["source.val"],
        seed,
    ).checkpoint
    found = {
        "base": base,
        "fine-tuned": finetune(base, config, few, val, seed).checkpoint,
        "scratch": train_from_scratch(network, config, few, val, seed).checkpoint,
    }
    content = {name: to_bytes(each) for name, each in found.items()} | {
        f"logits of {name}": predict(each.model, sets["source.test"]).cpu().numpy().tobytes()
        for name, each in found.items()
    }
    return {name: hashlib.sha256(each).hexdigest() for name, each in content.items()}


class Clock(Reporter):
    """When each epoch ended, with its validation; waits for the card after each batch, or not."""

    def __init__(self, device: torch.device, after_each_batch: bool) -> None:
        self.ends: list[float] = []
        self._device, self._after_each_batch = device, after_each_batch

    def on_batch(self, images: int) -> None:
        if self._after_each_batch:
            wait_for(self._device)

    def on_epoch(self, epoch: Epoch) -> None:
        wait_for(self._device)
        self.ends.append(time.perf_counter())


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def epoch_seconds(here: Place, name: str, after_each_batch: bool) -> float:
    """The median epoch of a recipe."""
    config = TrainConfig.model_validate(here.settings[name]["train"])
    data = here.images(MNIST)
    clock = Clock(here.device, after_each_batch)
    several = config.model_copy(update={"epochs": 1 + EPOCHS, "patience": None})
    tiny = data.subset(torch.arange(10, device=here.device))
    train_from_scratch(here.network(name), several, data, tiny, 0, [clock])
    between = zip(clock.ends[1:], clock.ends[:-1], strict=True)
    return statistics.median(end - begun for end, begun in between)


def both_ways(*place: Any) -> dict[str, tuple[float, float]]:
    """Seconds of an epoch of each recipe: without waiting after each batch, and with it."""
    here = Place(*place)
    return {
        name: (epoch_seconds(here, name, False), epoch_seconds(here, name, True))
        for name in RECIPES
    }


def one_of_several(barrier: Any, name: str, *place: Any) -> tuple[int, float]:
    """Images, and the seconds that an epoch of them takes beside the other trainings."""
    here = Place(*place)
    epoch_seconds(here, name, False)
    barrier.wait()
    return len(here.images(MNIST)), epoch_seconds(here, name, False)


def at_once(name: str, count: int, *place: Any) -> float:
    """Images a second of so many trainings together."""
    with SPAWN.Manager() as manager, ProcessPoolExecutor(count, mp_context=SPAWN) as pool:
        barrier = manager.Barrier(count)
        running = [pool.submit(one_of_several, barrier, name, *place) for _ in range(count)]
        return sum(images / seconds for images, seconds in (each.result() for each in running))


def afresh(function: Callable[..., Answer], *arguments: Any) -> Answer:
    """In a process of its own, as stages are."""
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        return pool.submit(function, *arguments).result()


def measure(*place: Any) -> None:
    first, second = afresh(digests, *place), afresh(digests, *place)
    for name, digest in first.items():
        print(f"{name}: {'equal' if second[name] == digest else 'DIFFERENT'} bytes in two runs")
    times = afresh(both_ways, *place)
    for name, (free, held) in times.items():
        print(f"an epoch of {name}: {free:.3f} s, waiting after each batch {held:.3f} s")
    for name in times:
        speeds = ", ".join(f"{at_once(name, count, *place):.0f} ({count})" for count in AT_ONCE)
        print(f"{name}, images a second of several trainings at once: {speeds}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["prepare", "measure"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=60_000, help="of each set at most")
    arguments = parser.parse_args()
    if arguments.what == "prepare":
        prepare(arguments.folder)
    else:
        measure(arguments.folder, arguments.device, arguments.images)


if __name__ == "__main__":
    main()
