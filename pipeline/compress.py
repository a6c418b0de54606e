"""Make the smaller models that params.yaml asks for, each from its parent."""

import pandas as pd

from src.core import paths
from src.core.cli import run
from src.core.console import Console
from src.core.files import write_bytes
from src.core.runtime import describe, set_up
from src.core.tables import write_csv
from src.core.tensorfile import read_bytes
from src.data.checks import load_params
from src.data.imageset import load_images
from src.models.checkpoint import from_bytes
from src.models.scoring import score
from src.tracking.runs import track
from src.training.smaller import SmallerParams as Params
from src.training.smaller import make

IMAGES = ("source.train", "source.val", "target.train", "target.val")


def main() -> None:
    params = load_params(Params)
    config = params.compress
    with track("compress", params.model_dump()) as tracked:
        device = set_up(**params.runtime.model_dump())
        tracked.tags(describe(device))
        images = {name: load_images(paths.IMAGE_SETS[name]).to(device) for name in IMAGES}
        learned, original = params.learned_from.of(images), read_bytes(params.original.path)
        made: dict[str, bytes] = {}
        for name in config.with_parents(config.make):
            parent = made.get(config.models[name].parent, original)
            with Console(name, config.train.epochs, len(learned.train)) as console:
                made[name] = make(name, params, parent, images, [console])
        scores = {name: score(from_bytes(made[name], device).model, learned.val) for name in made}
        for name in config.make:
            write_bytes(made[name], paths.COMPRESSED / f"{name}.safetensors")
            tracked.metrics({f"{name}_val_accuracy": scores[name].accuracy})
        # Written where no model is asked for, too: DVC wants the folder.
        rows = [(name, config.models[name].parent, *each) for name, each in scores.items()]
        write_csv(
            pd.DataFrame(rows, columns=["model", "parent", "val_loss", "val_accuracy"]),
            paths.COMPRESSED / "models.csv",
        )


if __name__ == "__main__":
    run(main)
