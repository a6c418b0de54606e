"""What becomes of a model's accuracy when its test images get worse."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from src.core.stats import wilson
from src.core.tables import write_csv
from src.data.imageset import ImageSet
from src.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from src.evaluation.figures import draw_corruptions
from src.evaluation.predictions import HOME
from src.models.checkpoint import Checkpoint
from src.models.predict import predict


def write_robustness(
    models: Mapping[str, Checkpoint], test_sets: Mapping[str, ImageSet], seed: int, folder: Path
) -> dict[str, float]:
    """Accuracy under corruptions as a table and curves; returns each model's mean over them all."""
    # The control is there to be compared with, not to be used.
    table = under_corruptions(
        {name: (models[name], test_sets[HOME[name]]) for name in ("base", "finetuned")}, seed
    )
    write_csv(table, folder / "corruptions.csv")
    draw_corruptions(table, folder / "corruptions.png")
    means = table[table["strength"] > 0].groupby("model")["accuracy"].mean()
    return {f"{name}_{HOME[str(name)]}_accuracy_corrupted": mean for name, mean in means.items()}


def under_corruptions(models: Mapping[str, tuple[Checkpoint, ImageSet]], seed: int) -> pd.DataFrame:
    """A row per model, kind and strength of corruption: accuracy and its 95 % Wilson interval.

    models: by name, each with the test images of its own classes. Strength 0 is the images as
    they are.
    """
    rows = []
    for name, (checkpoint, images) in models.items():
        rows.append(_row(name, checkpoint, images, "none", 0))
        for kind in CORRUPTIONS:
            for strength in STRENGTHS:
                worse = corrupt(images, kind, strength, seed)
                rows.append(_row(name, checkpoint, worse, kind, strength))
    return pd.DataFrame(rows)


def _row(
    name: str, checkpoint: Checkpoint, images: ImageSet, kind: str, strength: int
) -> dict[str, str | int | float]:
    correct = int((predict(checkpoint.model, images).argmax(1) == images.labels).sum())
    low, high = wilson(correct, len(images))
    return {
        "model": name,
        "corruption": kind,
        "strength": strength,
        "n": len(images),
        "accuracy": correct / len(images),
        "accuracy_lo": low,
        "accuracy_hi": high,
    }
