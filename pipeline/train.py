"""Train the base model on the source data set."""

from src.config.networks import ModelConfig
from src.config.sections import RuntimeConfig, Section, Seed, TrainConfig
from src.core import paths
from src.core.cli import run
from src.core.console import Console
from src.core.runtime import describe, set_up
from src.core.tables import write_csv
from src.data.checks import load_params
from src.data.imageset import load_images
from src.models.checkpoint import save_model
from src.tracking.runs import track
from src.training.scratch import train_from_scratch


class Params(Section):
    seed: Seed
    runtime: RuntimeConfig
    model: ModelConfig
    train: TrainConfig


def main() -> None:
    params = load_params(Params)
    with track("train", params.model_dump()) as tracked:
        device = set_up(**params.runtime.model_dump())
        tracked.tags(describe(device))
        train_set = load_images(paths.SOURCE_TENSORS / paths.TRAIN).to(device)
        val_set = load_images(paths.SOURCE_TENSORS / paths.VAL).to(device)
        with Console("train", params.train.epochs, len(train_set)) as console:
            trained = train_from_scratch(
                params.model, params.train, train_set, val_set, params.seed, [console, tracked]
            )
        save_model(paths.BASE_MODEL, trained.checkpoint)
        write_csv(trained.fit.history(), paths.TRAIN_HISTORY)
        tracked.metrics(trained.fit.kept.as_kept())
        tracked.file(paths.TRAIN_HISTORY)


if __name__ == "__main__":
    run(main)
