"""How good the models are: metrics, predictions, confusion, mistakes, learning curves."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from src.core.files import write_text
from src.core.finding import Finding
from src.core.plots import shortened
from src.core.sheets import contact_sheet
from src.core.tables import read_table
from src.evaluation import figures
from src.evaluation.metrics import confusion, per_class, predictions
from src.evaluation.predictions import Evaluation, Evaluations
from src.evaluation.subjects import TARGET, Subject

CURVES = ("epoch", "train_loss", "val_loss", "val_accuracy")


def write_metrics(
    subjects: Sequence[Subject], evaluations: Evaluations, doubted: pd.DataFrame, path: Path
) -> None:
    """metrics.json: the model, then the test set, then the numbers; without baselines.

    doubted: a row per warning about the data, with its role.
    """
    tree = {
        subject.name: {
            test: _leaves(each, test, doubted) for test, each in evaluations[subject.name].items()
        }
        for subject in subjects
        if not subject.baseline
    }
    write_text(json.dumps(tree, indent=2) + "\n", path)


def accuracies(evaluations: Evaluations, doubted: pd.DataFrame) -> Finding:
    """Every metric; as text, accuracy and its interval, a line per model and test set."""
    metrics: dict[str, float] = {}
    rows, lines = [], []
    for model, tests in evaluations.items():
        for test, evaluation in tests.items():
            leaves = _leaves(evaluation, test, doubted)
            rows.append({"model": model, "test": test, **leaves})
            # Without the number of images, which would come first where runs are compared.
            metrics |= {
                f"{model}_{test}_{name}": value for name, value in leaves.items() if name != "n"
            }
            value, low, high = (
                100 * leaves[key] for key in ("accuracy", "accuracy_lo", "accuracy_hi")
            )
            lines.append(f"{model:>9} on {test}: {value:6.2f} %  ({low:.2f} to {high:.2f})")
    return Finding(
        {"accuracy.csv": pd.DataFrame(rows)},
        metrics=metrics,
        text="\n".join(lines),
        warnings=tuple(doubted["warning"]),
    )


def _leaves(evaluation: Evaluation, test: str, doubted: pd.DataFrame) -> dict[str, float]:
    return {**evaluation.metrics, "data_warnings": int((doubted["role"] == test).sum())}


def details(evaluations: Evaluations, most: int) -> Finding:
    """Predictions, confusion matrices, per-class metrics, at most `most` mistakes in a picture."""
    tables, drawn, classes = {}, {}, []
    for model, tests in evaluations.items():
        for test, evaluation in tests.items():
            logits, labels, names = evaluation.logits, evaluation.labels, evaluation.classes
            table = predictions(logits, labels, names)
            tables[f"predictions_{model}_{test}.csv"] = table
            drawn[f"mistakes_{model}_{test}.svg"] = _mistakes(
                f"{model} on {test}", evaluation, table, most
            )
            counts = confusion(logits, labels)
            drawn[f"confusion_{model}_{test}.svg"] = figures.confusion(
                f"{model} on {test}", counts, names
            )
            classes.append(per_class(logits, labels, names).assign(model=model, test=test))
    return Finding({**tables, "per_class.csv": pd.concat(classes)}, drawn)


def _mistakes(name: str, evaluation: Evaluation, table: pd.DataFrame, most: int) -> Figure:
    wrong = table[table["actual"] != table["predicted"]]
    worst = wrong.sort_values("confidence", ascending=False, kind="stable").head(most)
    names = dict(zip(evaluation.classes, shortened(evaluation.classes), strict=True))
    captions = [
        f"{names[row['actual']]} → {names[row['predicted']]}  {row['confidence']:.2f}"
        for _, row in worst.iterrows()
    ]
    title = f"{name}: mistakes {len(wrong)} of {len(table)}"
    return contact_sheet(evaluation.images[worst.index.tolist()], captions, title)


def transfer(subjects: Sequence[Subject], evaluations: Evaluations) -> Finding:
    """A picture of all models on the target's test images: what the base model contributes."""
    rows = [
        {"model": subject.title, **evaluations[subject.name][TARGET].metrics}
        for subject in subjects
        if TARGET in subject.tests
    ]
    table = pd.DataFrame(rows)
    return Finding(figures={"transfer.svg": figures.transfer(table)})


def learning_curves(histories: Mapping[str, Path]) -> Finding:
    """Loss and validation accuracy by epoch, from the tables that the training stages left."""
    tables = {name: read_table(path, CURVES) for name, path in histories.items()}
    return Finding(figures={"curves.svg": figures.learning_curves(tables)})
