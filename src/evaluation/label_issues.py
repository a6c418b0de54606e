"""Labels that may be wrong: images of which a model is sure, and of something else."""

import math
from pathlib import Path

import pandas as pd
from torch import Tensor

from src.core.tables import write_csv
from src.evaluation.figures import draw_images
from src.evaluation.predictions import Evaluations


def write_suspects(evaluations: Evaluations, most: int, folder: Path) -> None:
    """Of each test set, the labels that the model trained for it disputes: a table, a picture."""
    for role, model in (("source", "base"), ("target", "finetuned")):
        found = evaluations[model][role]
        table = suspects(found.logits, found.labels)
        draw_suspects(found.images, table, found.classes, most, folder / f"suspects_{role}.png")
        write_csv(name_classes(table, found.classes), folder / f"suspects_{role}.csv")


def name_classes(table: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    """The table with the images' places, and the classes by name."""
    named = {column: [classes[label] for label in table[column]] for column in ("label", "claimed")}
    return table.assign(**named).reset_index(names="index")


def draw_suspects(
    images: Tensor, table: pd.DataFrame, classes: tuple[str, ...], most: int, path: Path
) -> None:
    """The surest of the table, at most `most`; images uint8 [N, C, H, W]."""
    worst = table.head(most)
    captions = [
        f"{classes[label]}, or {classes[claimed]}?  {margin:.2f}"
        for label, claimed, margin in zip(*(worst[column] for column in worst), strict=True)
    ]
    title = f"{len(table)} labels of {len(images)} that may be wrong: label, claim, margin"
    draw_images(images[worst.index.tolist()], captions, title, path)


def suspects(logits: Tensor, labels: Tensor) -> pd.DataFrame:
    """Images whose label a model that did not learn them confidently disputes, the surest first.

    logits: [N, classes], labels: [N]. An image is suspected if the probability of another class is
    larger than the label's, and at least as large as it is on average for images of that class.
    Images that the model reads as labelled are none. margin, by which they are
    ordered: that probability less the label's. The index is the image's.
    Source: confident learning, Northcutt, Jiang and Chuang, 2021.
    """
    probability = logits.double().softmax(1)
    own = probability.gather(1, labels[:, None])[:, 0]
    images = labels.bincount(minlength=probability.shape[1])
    # Of a class without images nothing is known to be usual: it disputes no label.
    usual = own.new_zeros(len(images)).index_add(0, labels, own) / images
    usual = usual.nan_to_num(nan=math.inf)
    confident = probability.where(probability >= usual, -1.0)
    best, claimed = confident.max(1)
    table = pd.DataFrame({"label": labels, "claimed": claimed, "margin": best - own})
    disputed = table[((best >= 0) & (best > own)).numpy()]
    return disputed.sort_values("margin", ascending=False, kind="stable")
