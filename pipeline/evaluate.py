"""Test the models on the test images, which no other stage may read."""

from src.config.params import Pipeline as Params
from src.config.parsing import read
from src.core import paths
from src.core.cli import run
from src.core.finding import publish
from src.core.runtime import describe, set_up
from src.data.checks import load_params
from src.data.doubts import read_warnings
from src.evaluation.accuracy import accuracies, details, learning_curves, transfer, write_metrics
from src.evaluation.attribution import attributions
from src.evaluation.calibration import calibration
from src.evaluation.comparison import comparisons
from src.evaluation.features import features
from src.evaluation.label_issues import label_issues
from src.evaluation.predictions import evaluate_all, fingerprint
from src.evaluation.robustness import robustness
from src.evaluation.subjects import image_sets, subjects
from src.evaluation.usages import usages
from src.models.checkpoint import load_model
from src.pages.index import write_report
from src.tracking.provenance import running
from src.tracking.runs import track


def main() -> None:
    params, ran = load_params(Params), running("evaluate")
    config, chosen = params.evaluate, subjects(params.compress)
    # The whole file, so that each row of MLflow's table is one pipeline with all its parameters.
    with track("evaluate", read()) as tracked:
        device = set_up(**params.runtime.model_dump())
        tracked.tags(describe(device))
        trains, vals, tests = (image_sets(split, device) for split in paths.SPLITS)
        tracked.tags({f"test.{role}": fingerprint(data) for role, data in tests.items()})
        models = {subject.name: load_model(subject.path, device) for subject in chosen}
        doubted = read_warnings(paths.DATA_REPORT / paths.WARNINGS)
        found = evaluate_all(chosen, models, tests, config)
        findings = [
            accuracies(found, doubted),
            comparisons(chosen, found),
            details(found, config.mistakes),
            transfer(chosen, found),
            label_issues(found, config.mistakes),
            learning_curves({"train": paths.TRAIN_HISTORY, "finetune": paths.FINETUNE_HISTORY}),
            calibration(chosen, found, models, vals, config.calibration_bins),
            usages(chosen, models, trains, vals),
            robustness(chosen, models, tests, params.seed),
            attributions(found, models),
            features(found, models),
        ]
        write_metrics(chosen, found, doubted, paths.METRICS)
        publish(findings, paths.EVALUATION, tracked)
        write_report(ran)
        tracked.file(paths.METRICS)
        tracked.page(paths.REPORT)


if __name__ == "__main__":
    run(main)
