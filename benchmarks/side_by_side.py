"""What two trainings on one machine cost each other, and what GOMP_SPINCOUNT does about it.

    python -m benchmarks.side_by_side

Trains two epochs of the default network alone and beside a copy of itself, with OpenMP's own
spinning and with that of the Makefile, in turn; needs the tensors that `make repro` left.
"""

import os
import statistics
import subprocess
import sys

TURNS = 3
SPINS = {"OpenMP's own": None, "GOMP_SPINCOUNT=10000": "10000"}
TRAINING = """
import time
from src.core import paths
from src.data.checks import load_params
from src.config.params import Params
from src.data.imageset import load_images
from src.core.runtime import set_up
from src.training.scratch import train_from_scratch

params = load_params(Params)
set_up(**params.runtime.model_dump())
train, val = (load_images(paths.SOURCE_TENSORS / name) for name in (paths.TRAIN, paths.VAL))
short = params.train.model_copy(update={"epochs": 2})
started = time.perf_counter()
train_from_scratch(params.model, short, train, val, params.seed)
print(time.perf_counter() - started)
"""


def slowest(copies: int, spins: str | None) -> float:
    """Seconds that the slowest of so many trainings took, started together."""
    env = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    env |= {"GOMP_SPINCOUNT": spins} if spins else {}
    command = [sys.executable, "-c", TRAINING]
    started = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(copies)
    ]
    return max(float(process.communicate()[0]) for process in started)


def main() -> None:
    seconds: dict[tuple[str, int], list[float]] = {}
    for _ in range(TURNS):
        for name, spins in SPINS.items():
            for copies in (1, 2):
                seconds.setdefault((name, copies), []).append(slowest(copies, spins))
    for name in SPINS:
        alone, beside = (statistics.median(seconds[name, copies]) for copies in (1, 2))
        print(f"{name:>20}: alone {alone:.1f} s, two {beside:.1f} s, ratio {beside / alone:.1f}")


if __name__ == "__main__":
    main()
