"""Train the base model on the source data set."""

from src import paths
from src.command import run
from src.config.model import ModelConfig
from src.config.params import load
from src.config.runtime import RuntimeConfig
from src.config.section import Section, Seed
from src.config.train import TrainConfig
from src.data.tensors import load_images
from src.models.checkpoint import save_model
from src.runtime import describe, set_up
from src.tracking.runs import track
from src.training.console import Console, write_history
from src.training.scratch import train_from_scratch


class Params(Section):
    seed: Seed
    runtime: RuntimeConfig
    model: ModelConfig
    train: TrainConfig


def main() -> None:
    params = load(Params)
    with track("train", params.model_dump()) as tracked:
        device = set_up(params.runtime)
        tracked.tags(describe(device))
        train_set = load_images(paths.SOURCE_TENSORS / paths.TRAIN).to(device)
        val_set = load_images(paths.SOURCE_TENSORS / paths.VAL).to(device)
        with Console("train", params.train.epochs, len(train_set)) as console:
            trained = train_from_scratch(
                params.model, params.train, train_set, val_set, params.seed, [console, tracked]
            )
        save_model(paths.BASE_MODEL, trained.checkpoint)
        write_history(paths.TRAIN_HISTORY, trained.fit.epochs)
        tracked.kept(trained.fit.kept)
        tracked.file(paths.TRAIN_HISTORY)


if __name__ == "__main__":
    run(main)
