"""Judge the models on the test images, which no other stage may read."""

from src import paths
from src.command import run
from src.config.evaluate import EvaluateConfig
from src.config.params import load, read
from src.config.runtime import RuntimeConfig
from src.config.section import Section
from src.data.tensors import load_images
from src.evaluation.report import (
    evaluate_all,
    flat_metrics,
    summary,
    write_curves,
    write_details,
    write_metrics,
    write_transfer,
)
from src.models.checkpoint import load_model
from src.runtime import describe, set_up
from src.tracking.runs import track


class Params(Section):
    runtime: RuntimeConfig
    evaluate: EvaluateConfig


def main() -> None:
    params = load(Params)
    # The whole file, so that each row of MLflow's table is one pipeline with all its parameters.
    with track("evaluate", read()) as tracked:
        device = set_up(params.runtime)
        tracked.tags(describe(device))
        source = load_images(paths.SOURCE_TENSORS / paths.TEST).to(device)
        target = load_images(paths.TARGET_TENSORS / paths.TEST).to(device)
        tests = {
            "base": (paths.BASE_MODEL, {"source": source, "target": target}),
            "finetuned": (paths.FINETUNED_MODEL, {"source": source, "target": target}),
            "scratch": (paths.SCRATCH_MODEL, {"target": target}),
        }
        found = {
            name: evaluate_all(load_model(path, device), test_sets, params.evaluate)
            for name, (path, test_sets) in tests.items()
        }
        print(summary(found))
        histories = {"train": paths.TRAIN_HISTORY, "finetune": paths.FINETUNE_HISTORY}
        write_curves(histories, paths.EVALUATION)
        write_transfer(found, paths.EVALUATION)
        write_details(found, params.evaluate.mistakes, paths.EVALUATION)
        write_metrics({name: found[name] for name in ("base", "finetuned")}, paths.METRICS)
        tracked.metrics(flat_metrics(found))
        tracked.file(paths.METRICS)
        tracked.file(paths.EVALUATION)


if __name__ == "__main__":
    run(main)
