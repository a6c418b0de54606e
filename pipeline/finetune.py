"""Adapt the base model to the target; train the same network from scratch, as a baseline."""

from src.config.sections import FinetuneConfig, RuntimeConfig, Section, Seed
from src.core import paths
from src.core.cli import run
from src.core.console import Console
from src.core.runtime import describe, set_up
from src.core.tables import write_csv
from src.data.checks import load_params
from src.data.imageset import load_images
from src.models.checkpoint import load_model, save_model
from src.tracking.runs import track
from src.training.finetune import finetune, limit_labels, rehearse
from src.training.scratch import train_from_scratch


class Params(Section):
    seed: Seed
    runtime: RuntimeConfig
    finetune: FinetuneConfig


def main() -> None:
    params = load_params(Params)
    config, seed = params.finetune, params.seed
    with track("finetune", params.model_dump()) as tracked:
        device = set_up(**params.runtime.model_dump())
        tracked.tags(describe(device))
        base = load_model(paths.BASE_MODEL, device)
        target = load_images(paths.TARGET_TENSORS / paths.TRAIN)
        train_set = limit_labels(target, config.labels_per_class, seed).to(device)
        val_set = load_images(paths.TARGET_TENSORS / paths.VAL).to(device)
        mixed = train_set
        if config.rehearsal:
            source = load_images(paths.SOURCE_TENSORS / paths.TRAIN).to(device)
            mixed = rehearse(train_set, source, config.rehearsal, seed)
        with Console("finetune", config.epochs, len(mixed)) as console:
            tuned = finetune(base, config, mixed, val_set, seed, [console, tracked])
        with Console("scratch", config.epochs, len(train_set)) as console:
            scratch = train_from_scratch(base.config, config, train_set, val_set, seed, [console])
        save_model(paths.FINETUNED_MODEL, tuned.checkpoint)
        save_model(paths.SCRATCH_MODEL, scratch.checkpoint)
        write_csv(tuned.fit.history(), paths.FINETUNE_HISTORY)
        tracked.metrics(tuned.fit.kept.as_kept())
        tracked.metrics({"scratch_val_accuracy": scratch.fit.kept.val_accuracy})
        tracked.file(paths.FINETUNE_HISTORY)


if __name__ == "__main__":
    run(main)
