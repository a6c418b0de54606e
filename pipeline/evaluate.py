"""Judge the models on the test images, which no other stage may read."""

from src.config.parsing import read
from src.config.sections import EvaluateConfig, RuntimeConfig, Section, Seed
from src.core import paths
from src.core.cli import run
from src.core.runtime import describe, set_up
from src.data.checks import load_params
from src.data.imageset import load_images
from src.evaluation.accuracy import (
    flat_metrics,
    summary,
    write_curves,
    write_details,
    write_metrics,
)
from src.evaluation.calibration import write_calibration
from src.evaluation.comparison import write_comparisons
from src.evaluation.label_issues import write_suspects
from src.evaluation.predictions import evaluate_all, fingerprint
from src.evaluation.robustness import write_robustness
from src.models.checkpoint import load_model
from src.tracking.runs import track


class Params(Section):
    seed: Seed
    runtime: RuntimeConfig
    evaluate: EvaluateConfig


def main() -> None:
    params = load_params(Params)
    config, folder = params.evaluate, paths.EVALUATION
    # The whole file, so that each row of MLflow's table is one pipeline with all its parameters.
    with track("evaluate", read()) as tracked:
        device = set_up(params.runtime.device, params.runtime.threads)
        tracked.tags(describe(device))
        roles = {"source": paths.SOURCE_TENSORS, "target": paths.TARGET_TENSORS}
        tests = {role: load_images(path / paths.TEST).to(device) for role, path in roles.items()}
        vals = {role: load_images(path / paths.VAL).to(device) for role, path in roles.items()}
        tracked.tags({f"test.{role}": fingerprint(data) for role, data in tests.items()})
        models = {name: load_model(path, device) for name, path in paths.MODELS.items()}
        found = evaluate_all(models, tests, config)
        print(summary(found))
        print(write_comparisons(found, folder))
        write_details(found, config.mistakes, folder)
        write_suspects(found, config.mistakes, folder)
        write_curves({"train": paths.TRAIN_HISTORY, "finetune": paths.FINETUNE_HISTORY}, folder)
        calibration = write_calibration(found, models, vals, config.calibration_bins, folder)
        robustness = write_robustness(models, tests, params.seed, folder)
        write_metrics({name: found[name] for name in ("base", "finetuned")}, paths.METRICS)
        tracked.metrics({**flat_metrics(found), **calibration, **robustness})
        tracked.file(paths.METRICS)
        tracked.file(folder)


if __name__ == "__main__":
    run(main)
