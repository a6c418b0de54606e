"""Row 4: an epoch of each Keras recipe, and of the same network in Keras on TensorFlow (CPU).

    python -m benchmarks.keras

On official MNIST (DATA_MIRROR may name a folder that has it), in two threads, without validation.
uv gives Keras an environment of its own, in its cache, so that the project's never has it (the
first time it downloads 300 MB). The first epoch of each side is not counted: Keras compiles in it.
An epoch is one of 12,000 images, scaled to 60,000.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.rows import in_turn, record
from src.core import paths
from src.core.runtime import set_up
from src.data.checks import load_params
from src.data.imageset import ImageSet
from src.recipes.recipe import Recipe, obtain_splits
from src.training.scratch import train_from_scratch

PAIRS, THREADS = 5, 2
RECIPES = ("article-000", "article-002", "article-003", "article-004")
PART, WHOLE = 12_000, 60_000
PACKAGES = ("tensorflow-cpu==2.21.0", "keras==3.15.1")
# Trains an epoch for each line that it reads, and answers with its seconds. The pixels are scaled
# beforehand, which costs our side a little in each epoch.
KERAS = """
import json, sys, time
import keras
import numpy as np
import tensorflow as tf

folder, recipe = sys.argv[1], json.loads(sys.argv[2])
tf.config.threading.set_intra_op_parallelism_threads(recipe["threads"])
images = np.load(f"{folder}/images.npy")[..., None].astype(np.float32) / 255
labels = np.load(f"{folder}/labels.npy")
layers = [keras.Input(images.shape[1:])]
for channels, kernel in zip(recipe["channels"], recipe["kernel_sizes"]):
    layers.append(keras.layers.Conv2D(channels, kernel, activation="relu"))
    layers.append(keras.layers.MaxPooling2D(2))
layers.append(keras.layers.Flatten())
layers += [keras.layers.Dense(width, activation="relu") for width in recipe["hidden"]]
model = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])
optimizer = keras.optimizers.get({"class_name": recipe["optimizer"], "config": {}})
optimizer.learning_rate = recipe["learning_rate"]
model.compile(optimizer, "sparse_categorical_crossentropy")

class Clock(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        print(time.perf_counter() - self.begun, flush=True)

for line in sys.stdin:
    model.fit(images, labels, recipe["batch_size"], epochs=1, verbose=0, callbacks=[Clock()])
"""


def described(recipe: Recipe) -> dict[str, Any]:
    """What the Keras side needs to know."""
    model, train = recipe.model.model_dump(), recipe.train
    assert (model["normalisation"], model["padding"], model["pool_size"]) == ("unit", "valid", 2)
    return {name: model[name] for name in ("channels", "kernel_sizes", "hidden")} | {
        "optimizer": train.optimizer.name,
        "learning_rate": train.optimizer.learning_rate,
        "batch_size": train.batch_size,
        "threads": THREADS,
    }


@contextmanager
def keras(recipe: Recipe, folder: str) -> Iterator["subprocess.Popen[str]"]:
    packages = [word for package in PACKAGES for word in ("--with", package)]
    own = (sys.executable, "-m", "uv", "run", "--no-project", "--python", sys.executable, *packages)
    process = subprocess.Popen(
        [*own, "python", "-c", KERAS, folder, json.dumps(described(recipe))],
        cwd=folder,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.communicate()


def theirs(process: "subprocess.Popen[str]") -> float:
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline()) * WHOLE / PART


def ours(recipe: Recipe, data: ImageSet) -> float:
    tiny = data.subset(torch.arange(10))
    once = recipe.train.model_copy(update={"epochs": 1})
    [epoch] = train_from_scratch(recipe.model, once, data, tiny, recipe.seed).fit.epochs
    return WHOLE / epoch.images_per_second


def measure(name: str, recipe: Recipe, data: ImageSet, folder: str) -> None:
    with keras(recipe, folder) as process:
        in_turn(lambda: ours(recipe, data), lambda: theirs(process), 1)
        pairs = in_turn(lambda: ours(recipe, data), lambda: theirs(process), PAIRS)
    record(4, f"an epoch of {name}", "Keras on TensorFlow", "s", pairs, 1.5)


def main() -> None:
    set_up("cpu", THREADS, portable=False)
    recipes = {name: load_params(Recipe, paths.RECIPES / f"{name}.yaml") for name in RECIPES}
    everything = obtain_splits(recipes[RECIPES[0]], paths.downloads()).train
    data = everything.subset(torch.arange(PART))
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "images.npy"), data.images[:, 0].numpy())
        np.save(Path(folder, "labels.npy"), data.labels.numpy())
        for name, recipe in recipes.items():
            measure(name, recipe, data, folder)


if __name__ == "__main__":
    main()
