"""How much of a result is luck: the pipeline's models trained with several seeds.

    python -m benchmarks.seeds

On the tensors that `make repro` left, with the parameters as they are. A seed draws the weights,
the batches, the augmentation and the few labels of the target; the validation split stays. The
test images are read to report, not to choose.
"""

import pandas as pd

from src.config.params import Params
from src.core import paths
from src.core.runtime import set_up
from src.data.checks import load_params
from src.data.imageset import ImageSet, load_images
from src.models.scoring import score
from src.training.finetune import finetune, limit_labels
from src.training.scratch import train_from_scratch

SEEDS = range(5)


def accuracies(
    params: Params, seed: int, source: list[ImageSet], target: list[ImageSet]
) -> dict[str, float]:
    """Of each model on each test set; source and target are train, validation and test splits."""
    train, val, test = source
    base = train_from_scratch(params.model, params.train, train, val, seed).checkpoint
    target_train, target_val, target_test = target
    few = limit_labels(target_train, params.finetune.labels_per_class, seed)
    tuned = finetune(base, params.finetune, few, target_val, seed).checkpoint
    fresh = train_from_scratch(params.model, params.finetune, few, target_val, seed).checkpoint
    return {
        "base on source": score(base.model, test).accuracy,
        "base on target": score(base.model, target_test).accuracy,
        "finetuned on source": score(tuned.model, test).accuracy,
        "finetuned on target": score(tuned.model, target_test).accuracy,
        "scratch on target": score(fresh.model, target_test).accuracy,
    }


def main() -> None:
    params = load_params(Params)
    device = set_up(**params.runtime.model_dump())
    source, target = (
        [load_images(folder / name).to(device) for name in (paths.TRAIN, paths.VAL, paths.TEST)]
        for folder in (paths.SOURCE_TENSORS, paths.TARGET_TENSORS)
    )
    table = pd.DataFrame([accuracies(params, seed, source, target) for seed in SEEDS])
    print((100 * table.agg(["mean", "std", "min", "max"]).T).round(2).to_string())


if __name__ == "__main__":
    main()
