"""Is the winner of a sweep better than params.yaml with seeds that had no part in its choice?

    python -m benchmarks.promoted

After `python -m src.tune` and before `python -m src.promote`. Validation losses only.
"""

import pandas as pd
from filelock import FileLock

from src.config.params import Params
from src.config.parsing import read
from src.core import paths
from src.core.runtime import set_up
from src.data.checks import load_params
from src.data.imageset import load_images
from src.training.scratch import train_from_scratch
from src.tune.confirm import choose
from src.tune.space import Space
from src.tune.storage import load_study, open_storage
from src.tune.study import Study

SEEDS = range(100, 105)


def main() -> None:
    present = load_params(Params)
    lock = FileLock(paths.root() / paths.STUDIES_LOCK)
    storage = open_storage(None, paths.root() / paths.STUDIES, lock)
    begun = load_study(storage, "sweep")
    winner, why = choose(Study(begun, storage, Space(read()), present.tune, lock), present)
    print(why)
    device = set_up(present.runtime.device, present.runtime.threads)
    train, val = (
        load_images(paths.SOURCE_TENSORS / split).to(device) for split in (paths.TRAIN, paths.VAL)
    )
    rows = []
    for seed in SEEDS:
        losses = {
            name: train_from_scratch(params.model, params.train, train, val, seed).fit.kept.val_loss
            for name, params in ((winner.name, winner.params), ("params.yaml", present))
        }
        rows.append(losses)
        print(seed, {name: round(loss, 4) for name, loss in losses.items()}, flush=True)
    table = pd.DataFrame(rows)
    print(table.agg(["mean", "std"]).round(4).to_string())
    print(f"ratio of the means: {table[winner.name].mean() / table['params.yaml'].mean():.2f}")


if __name__ == "__main__":
    main()
