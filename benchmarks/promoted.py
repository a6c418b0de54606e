"""Does the winner of a sweep beat params.yaml with seeds that had no influence on its choice?

    python -m benchmarks.promoted

To be run after `python -m src.tune` and before `python -m src.promote`. Compares validation losses.
"""

import pandas as pd

from src.config.params import Params
from src.config.parsing import read
from src.core import paths
from src.core.runtime import set_up
from src.data.checks import load_params
from src.data.imageset import load_images
from src.training.scratch import train_from_scratch
from src.tune.confirm import choose
from src.tune.space import Space
from src.tune.storage import study_opened

SEEDS = range(100, 105)


def main() -> None:
    present, space = load_params(Params), Space(read())
    with study_opened("sweep", None, space, {"params": space.constant()}) as study:
        winner, why = choose(study, present)
    print(why)
    device = set_up(**present.runtime.model_dump())
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
