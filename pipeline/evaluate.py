"""Judge the models on the test images, which no other stage may read."""

from src import paths
from src.command import run
from src.config.evaluate import EvaluateConfig
from src.config.params import load, read
from src.config.runtime import RuntimeConfig
from src.config.section import Section
from src.data.tensors import load_images
from src.evaluation.report import (
    flat_metrics,
    judge,
    judge_all,
    summary,
    write_curves,
    write_evaluation,
    write_metrics,
)
from src.models.checkpoint import load_model
from src.runtime import describe, set_up
from src.tracking.runs import track


class Params(Section):
    runtime: RuntimeConfig
    evaluate: EvaluateConfig


def main() -> None:
    params = load(Params)
    config = params.evaluate
    # The whole file, so that each row of MLflow's table is one pipeline with all its parameters.
    with track("evaluate", read()) as tracked:
        device = set_up(params.runtime)
        tracked.tags(describe(device))
        source = load_images(paths.SOURCE_TENSORS / paths.TEST).to(device)
        target = load_images(paths.TARGET_TENSORS / paths.TEST).to(device)
        base = load_model(paths.BASE_MODEL, device)
        finetuned = load_model(paths.FINETUNED_MODEL, device)
        models = {"base": base, "finetuned": finetuned}
        verdicts = judge_all(models, {"source": source, "target": target}, config)
        control = judge(load_model(paths.SCRATCH_MODEL, device), target, config)
        histories = {"train": paths.TRAIN_HISTORY, "finetune": paths.FINETUNE_HISTORY}
        write_curves(histories, paths.EVALUATION)
        write_evaluation(verdicts, control, config, paths.EVALUATION)
        write_metrics(verdicts, paths.METRICS)
        numbers = flat_metrics(verdicts, control)
        print(summary(numbers))
        tracked.metrics(numbers)
        tracked.file(paths.METRICS)
        tracked.file(paths.EVALUATION)


if __name__ == "__main__":
    run(main)
