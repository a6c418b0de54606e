"""Accuracy on corrupted test images."""

from collections.abc import Mapping, Sequence
from itertools import product

import pandas as pd

from src.core.console import bar
from src.core.finding import Finding
from src.core.stats import wilson
from src.data.imageset import ImageSet
from src.evaluation import figures
from src.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from src.evaluation.subjects import Subject
from src.models.checkpoint import Checkpoint
from src.models.scoring import predict


def robustness(
    subjects: Sequence[Subject],
    models: Mapping[str, Checkpoint],
    test_sets: Mapping[str, ImageSet],
    seed: int,
) -> Finding:
    """Accuracy by corruption and severity; as metrics, each model's mean over all of them."""
    homes = {subject.name: subject.home for subject in subjects if not subject.baseline}
    pairs = {name: (models[name], test_sets[home]) for name, home in homes.items()}
    table = under_corruptions(pairs, seed)
    table.insert(1, "test", table["model"].map(homes))
    means = table[table["severity"] > 0].groupby("model")["accuracy"].mean()
    return Finding(
        {"corruptions.csv": table},
        {"corruptions.svg": figures.corruptions(table)},
        {f"{name}_{homes[name]}_accuracy_corrupted": means[name] for name in homes},
    )


def under_corruptions(models: Mapping[str, tuple[Checkpoint, ImageSet]], seed: int) -> pd.DataFrame:
    """A row per model, corruption and severity: accuracy and its 95 % Wilson interval.

    models: by name, each with test images of its own classes. Severity 0 is the clean images.
    """
    corruptions = [*product(CORRUPTIONS, SEVERITIES)]
    rows = []
    with bar("corruptions", len(models) * len(corruptions), "test sets") as shown:
        for name, (checkpoint, images) in models.items():
            rows.append(_row(name, checkpoint, images, "none", 0))
            for kind, severity in corruptions:
                corrupted = corrupt(images, kind, severity, seed)
                rows.append(_row(name, checkpoint, corrupted, kind, severity))
                shown.update()
    return pd.DataFrame(rows)


def _row(
    name: str, checkpoint: Checkpoint, images: ImageSet, kind: str, severity: int
) -> dict[str, str | int | float]:
    correct = int((predict(checkpoint.model, images).argmax(1) == images.labels).sum())
    low, high = wilson(correct, len(images))
    return {
        "model": name,
        "corruption": kind,
        "severity": severity,
        "n": len(images),
        "accuracy": correct / len(images),
        "accuracy_lo": low,
        "accuracy_hi": high,
    }
