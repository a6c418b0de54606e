"""How good the models are, as tables and pictures."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from src.core.errors import UserError
from src.core.files import written_whole
from src.core.tables import write_csv
from src.evaluation.figures import draw_confusion, draw_curves, draw_images, draw_transfer
from src.evaluation.metrics import confusion, per_class, predictions
from src.evaluation.predictions import Evaluation, Evaluations


def write_metrics(evaluations: Evaluations, path: Path) -> None:
    """metrics.json: the model, then the test set, then the numbers."""
    tree = {
        model: {role: evaluation.metrics for role, evaluation in tests.items()}
        for model, tests in evaluations.items()
    }
    with written_whole(path) as partial:
        partial.write_text(json.dumps(tree, indent=2) + "\n")


def flat_metrics(evaluations: Evaluations) -> dict[str, float]:
    """The same numbers in one level."""
    return {
        f"{model}_{role}_{name}": value
        for model, tests in evaluations.items()
        for role, evaluation in tests.items()
        for name, value in evaluation.metrics.items()
    }


def summary(evaluations: Evaluations) -> str:
    """A line for each model and test set: accuracy and its interval in percent."""
    lines = []
    for model, tests in evaluations.items():
        for role, evaluation in tests.items():
            value, low, high = (
                100 * evaluation.metrics[key] for key in ("accuracy", "accuracy_lo", "accuracy_hi")
            )
            lines.append(f"{model:>9} on {role}: {value:6.2f} %  ({low:.2f} to {high:.2f})")
    return "\n".join(lines)


def write_details(evaluations: Evaluations, most: int, folder: Path) -> None:
    """Tables and pictures of every model on every test set; at most so many images in a picture."""
    class_tables = []
    for model, tests in evaluations.items():
        for role, evaluation in tests.items():
            logits, labels, classes = evaluation.logits, evaluation.labels, evaluation.classes
            table = predictions(logits, labels, classes)
            write_csv(table, folder / f"predictions_{model}_{role}.csv")
            _draw_mistakes(evaluation, table, most, folder / f"mistakes_{model}_{role}.png")
            class_tables.append(per_class(logits, labels, classes).assign(model=model, test=role))
        panels = {
            f"{model} on {role}": (
                confusion(evaluation.logits, evaluation.labels),
                evaluation.classes,
            )
            for role, evaluation in tests.items()
        }
        draw_confusion(panels, folder / f"confusion_{model}.png")
    write_csv(pd.concat(class_tables), folder / "per_class.csv")
    _write_transfer(evaluations, folder)


def _draw_mistakes(evaluation: Evaluation, table: pd.DataFrame, most: int, path: Path) -> None:
    wrong = table[table["actual"] != table["predicted"]]
    worst = wrong.sort_values("confidence", ascending=False, kind="stable").head(most)
    captions = [
        f"{row['actual']} → {row['predicted']}  {row['confidence']:.2f}"
        for _, row in worst.iterrows()
    ]
    title = f"{len(wrong)} mistakes of {len(table)}: actual, predicted, confidence"
    draw_images(evaluation.images[worst.index.tolist()], captions, title, path)


def _write_transfer(evaluations: Evaluations, folder: Path) -> None:
    """The models side by side on the target: what it is worth to start from the base model."""
    names = {
        "base": "base model, zero-shot",
        "scratch": "same network from scratch",
        "finetuned": "fine-tuned",
    }
    rows = [{"model": names[key], **evaluations[key]["target"].metrics} for key in names]
    write_csv(pd.DataFrame(rows), folder / "transfer.csv")
    draw_transfer(pd.DataFrame(rows), folder / "transfer.png")


def write_curves(histories: Mapping[str, Path], folder: Path) -> None:
    """The course of each fit, from the tables that its stage left."""
    try:
        tables = {name: pd.read_csv(path) for name, path in histories.items()}
        draw_curves(tables, folder / "curves.png")
    except (ValueError, KeyError) as error:
        files = " or ".join(str(path) for path in histories.values())
        raise UserError(f"{files}: not the table of a fit ({error}); run `dvc repro`") from error
