"""Judge models on test sets, and write what was found under reports/."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import Tensor

from src.config.evaluate import EvaluateConfig
from src.data.tensors import ImageSet
from src.evaluation.figures import draw_confusion, draw_curves, draw_mistakes, draw_transfer
from src.evaluation.metrics import confusion, measure, per_class, predictions
from src.files import written_whole
from src.models.checkpoint import Checkpoint
from src.training.inference import predict


@dataclass(frozen=True)
class Verdict:
    """What one model says of one test set (images uint8 [N, C, H, W]), and how good that is."""

    metrics: dict[str, float]
    images: Tensor
    labels: Tensor
    logits: Tensor
    classes: tuple[str, ...]


Verdicts = Mapping[str, Mapping[str, Verdict]]  # by model, then by the role of the test set


def judge(checkpoint: Checkpoint, test_set: ImageSet, config: EvaluateConfig) -> Verdict:
    logits, labels = predict(checkpoint.model, test_set).cpu(), test_set.labels.cpu()
    metrics = measure(logits, labels, config.calibration_bins)
    return Verdict(metrics, test_set.images.cpu(), labels, logits, checkpoint.classes)


def judge_all(
    models: Mapping[str, Checkpoint], tests: Mapping[str, ImageSet], config: EvaluateConfig
) -> Verdicts:
    """Every model on every test set."""
    return {
        name: {role: judge(model, test_set, config) for role, test_set in tests.items()}
        for name, model in models.items()
    }


def write_metrics(verdicts: Verdicts, path: Path) -> None:
    """metrics.json: the model, then the test set, then the numbers."""
    tree = {
        model: {role: verdict.metrics for role, verdict in tests.items()}
        for model, tests in verdicts.items()
    }
    with written_whole(path) as partial:
        partial.write_text(json.dumps(tree, indent=2) + "\n")


def flat_metrics(verdicts: Verdicts, control: Verdict) -> dict[str, float]:
    """The same numbers, and those of the control on the target, in one level."""
    return {
        f"{model}_{role}_{name}": value
        for model, tests in {**verdicts, "scratch": {"target": control}}.items()
        for role, verdict in tests.items()
        for name, value in verdict.metrics.items()
    }


def summary(numbers: Mapping[str, float]) -> str:
    """A line for each model and test set: accuracy and its interval in percent."""
    lines = []
    for key in numbers:
        if key.endswith("_accuracy"):
            model, role, _ = key.split("_")
            low, value, high = (100 * numbers[f"{key}{end}"] for end in ("_lo", "", "_hi"))
            lines.append(f"{model:>9} on {role}: {value:6.2f} %  ({low:.2f} to {high:.2f})")
    return "\n".join(lines)


def write_evaluation(
    verdicts: Verdicts, control: Verdict, config: EvaluateConfig, folder: Path
) -> None:
    """Tables and pictures of every model on every test set, and of what the transfer is worth.

    control: the network of the models trained on the target alone, on the target's test set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    class_tables = []
    for model, tests in verdicts.items():
        for role, verdict in tests.items():
            table = predictions(verdict.logits, verdict.labels, verdict.classes)
            table.to_csv(folder / f"predictions_{model}_{role}.csv", index=False)
            picture = folder / f"mistakes_{model}_{role}.png"
            draw_mistakes(verdict.images, table, config.mistakes, picture)
            classwise = per_class(verdict.logits, verdict.labels, verdict.classes)
            class_tables.append(classwise.assign(model=model, test=role))
        panels = {
            f"{model} on {role}": (confusion(verdict.logits, verdict.labels), verdict.classes)
            for role, verdict in tests.items()
        }
        draw_confusion(panels, folder / f"confusion_{model}.png")
    pd.concat(class_tables).to_csv(folder / "per_class.csv", index=False)
    transfer = {
        "base model, zero-shot": verdicts["base"]["target"],
        "same network from scratch": control,
        "fine-tuned": verdicts["finetuned"]["target"],
    }
    rows = [{"model": name, **verdict.metrics} for name, verdict in transfer.items()]
    pd.DataFrame(rows).to_csv(folder / "transfer.csv", index=False)
    draw_transfer(pd.DataFrame(rows), folder / "transfer.png")


def write_curves(histories: Mapping[str, Path], folder: Path) -> None:
    """The course of each fit, from the tables that its stage left."""
    tables = {name: pd.read_csv(path) for name, path in histories.items()}
    draw_curves(tables, folder / "curves.png")
