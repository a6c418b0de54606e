"""What a cross-validation came to: a table, the suspected labels, and the whole in words."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch.nn import functional as F

from src.core.stats import wilson
from src.core.tables import write_csv
from src.crossval.folds import Fold
from src.data.imageset import ImageSet
from src.evaluation.label_issues import draw_suspects, name_classes, suspects


def write_crossval(
    folds: Sequence[Fold], data: ImageSet, train_images: int, most: int, folder: Path
) -> tuple[dict[str, float], str]:
    """Write folds.csv and the suspected labels; return what matters as metrics and in words.

    data: the training images, of which there are so many, and then the validation images; most:
    images in the picture.
    """
    table = table_of(folds, data)
    write_csv(table, folder / "folds.csv")
    suspected = _write_suspects(folds, data, train_images, most, folder)
    whole = table.iloc[-1]
    metrics = {key: float(whole[key]) for key in ("accuracy", "loss")}
    return {**metrics, "suspected_labels": suspected}, in_words(table, suspected)


def table_of(folds: Sequence[Fold], data: ImageSet) -> pd.DataFrame:
    """A row per fold and one for all images together, with 95 % Wilson intervals."""
    rows = []
    images = [fold.images for fold in folds]
    logits = [fold.logits for fold in folds]
    for name, places, said in [
        *((str(number), fold.images, fold.logits) for number, fold in enumerate(folds, start=1)),
        ("all", torch.cat(images), torch.cat(logits)),
    ]:
        labels = data.labels.cpu()[places]
        correct = int((said.argmax(1) == labels).sum())
        low, high = wilson(correct, len(labels))
        rows.append(
            {
                "fold": name,
                "n": len(labels),
                "accuracy": correct / len(labels),
                "accuracy_lo": low,
                "accuracy_hi": high,
                "loss": F.cross_entropy(said, labels).item(),
            }
        )
    return pd.DataFrame(rows)


def _write_suspects(
    folds: Sequence[Fold], data: ImageSet, train_images: int, most: int, folder: Path
) -> int:
    """Labels that the models which did not learn them dispute; returns how many."""
    places = torch.cat([fold.images for fold in folds])
    logits = torch.cat([fold.logits for fold in folds])[places.argsort()]
    table = suspects(logits, data.labels.cpu())
    draw_suspects(data.images.cpu(), table, data.classes, most, folder / "suspects.png")
    named = name_classes(table, data.classes)
    validates = named["index"] >= train_images
    named.insert(0, "split", validates.map({True: "val", False: "train"}))
    named["index"] -= validates * train_images
    write_csv(named, folder / "suspects.csv")
    return len(table)


def in_words(table: pd.DataFrame, suspected: int) -> str:
    folds, whole = table.iloc[:-1], table.iloc[-1]
    return (
        f"{len(folds)} folds: accuracy {whole['accuracy']:.2%} ({whole['accuracy_lo']:.2%} to "
        f"{whole['accuracy_hi']:.2%}) of {whole['n']} images, each read by a model that had not "
        f"learned it; between folds it deviates by {folds['accuracy'].std():.2%}. Loss "
        f"{whole['loss']:.4f}. {suspected} labels may be wrong."
    )
