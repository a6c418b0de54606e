"""The result of a cross-validation: a table by fold, possible label issues, a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from src.core.finding import Finding
from src.core.stats import wilson
from src.data.imageset import ImageSet
from src.evaluation.label_issues import draw_issues, find_issues, name_classes


@dataclass(frozen=True)
class HeldOut:
    """What the model of a fold predicts for the images held out from its training."""

    images: Tensor  # their indices in the data, int64 [n]
    logits: Tensor  # float32 [n, classes]


def scores(folds: Sequence[HeldOut], data: ImageSet, train_images: int, most: int) -> Finding:
    """Accuracy and loss by fold, and labels that models not trained on them dispute.

    data: `train_images` training images, followed by the validation images; most: images in the
    picture.
    """
    table = table_of(folds, data)
    issues, picture = _label_issues(folds, data, train_images, most)
    whole = table.iloc[-1]
    metrics = {key: float(whole[key]) for key in ("accuracy", "loss")}
    return Finding(
        {"folds.csv": table, "label_issues.csv": issues},
        {"label_issues.svg": picture},
        {**metrics, "label_issues": len(issues)},
        in_words(table, len(issues)),
    )


def table_of(folds: Sequence[HeldOut], data: ImageSet) -> pd.DataFrame:
    """A row per fold, and one for all images together, with 95 % Wilson intervals."""
    together = HeldOut(
        torch.cat([fold.images for fold in folds]), torch.cat([fold.logits for fold in folds])
    )
    named = {**{str(number): fold for number, fold in enumerate(folds, start=1)}, "all": together}
    return pd.DataFrame([_row(name, fold, data.labels.cpu()) for name, fold in named.items()])


def _row(name: str, fold: HeldOut, all_labels: Tensor) -> dict[str, str | int | float]:
    labels = all_labels[fold.images]
    correct = int((fold.logits.argmax(1) == labels).sum())
    low, high = wilson(correct, len(labels))
    return {
        "fold": name,
        "n": len(labels),
        "accuracy": correct / len(labels),
        "accuracy_lo": low,
        "accuracy_hi": high,
        "loss": F.cross_entropy(fold.logits, labels).item(),
    }


def _label_issues(
    folds: Sequence[HeldOut], data: ImageSet, train_images: int, most: int
) -> tuple[pd.DataFrame, Figure]:
    """A row per disputed label, with its split and its index there, and a picture of the worst."""
    indices = torch.cat([fold.images for fold in folds])
    logits = torch.cat([fold.logits for fold in folds])[indices.argsort()]
    table = find_issues(logits, data.labels.cpu())
    picture = draw_issues(data.images.cpu(), table, data.classes, most)
    named = name_classes(table, data.classes)
    in_val = named["index"] >= train_images
    named.insert(0, "split", in_val.map({True: "val", False: "train"}))
    named["index"] -= in_val * train_images
    return named, picture


def in_words(table: pd.DataFrame, issues: int) -> str:
    folds, whole = table.iloc[:-1], table.iloc[-1]
    return (
        f"{len(folds)} folds: accuracy {whole['accuracy']:.2%} ({whole['accuracy_lo']:.2%} to "
        f"{whole['accuracy_hi']:.2%}) of {whole['n']} images, each predicted by a model that was "
        f"not trained on it; standard deviation between folds {folds['accuracy'].std():.2%}. Loss "
        f"{whole['loss']:.4f}. {issues} possible label issues."
    )
