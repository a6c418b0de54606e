"""Make a smaller model of a model of the pipeline, as the section compress describes it."""

import argparse

from src.core import paths
from src.core.cli import run
from src.core.console import Console
from src.core.files import write_bytes
from src.core.runtime import describe, set_up
from src.core.tensorfile import read_bytes
from src.data.checks import load_params
from src.data.imageset import load_images
from src.models.checkpoint import from_bytes
from src.models.scoring import score
from src.tracking.runs import track
from src.training.smaller import ORIGINALS, make
from src.training.smaller import SmallerParams as Params

IMAGES = ("source.train", "source.val", "target.train", "target.val")


def main(name: str) -> None:
    params = load_params(Params)
    with track(f"compress@{name}", params.model_dump()) as tracked:
        device = set_up(**params.runtime.model_dump())
        tracked.tags(describe(device))
        images = {each: load_images(paths.IMAGE_SETS[each]).to(device) for each in IMAGES}
        original, learned = ORIGINALS[params.compress.original], params.lessons.of(images)
        with Console(name, params.compress.train.epochs, len(learned.train)) as console:
            made = make(name, params, read_bytes(original), images, console, tracked)
        val = score(from_bytes(made, device).model, learned.val)
        tracked.metrics({"made_val_loss": val.loss, "made_val_accuracy": val.accuracy})
        write_bytes(made, paths.COMPRESSED / f"{name}.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="one of compress.models")
    run(lambda: main(parser.parse_args().name))
