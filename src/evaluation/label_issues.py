"""Labels that may be wrong: images for which a model confidently predicts another class."""

import math

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from src.core.finding import Finding
from src.core.plots import shortened
from src.core.sheets import contact_sheet
from src.evaluation.predictions import Evaluations
from src.evaluation.subjects import PRODUCTS


def label_issues(evaluations: Evaluations, most: int) -> Finding:
    """Of each test set, the labels that the model trained for it disputes, as table and picture."""
    tables, drawn = {}, {}
    for subject in PRODUCTS:
        found, name = evaluations[subject.name][subject.home], f"label_issues_{subject.home}"
        table = find_issues(found.logits, found.labels)
        tables[f"{name}.csv"] = name_classes(table, found.classes)
        drawn[f"{name}.svg"] = draw_issues(found.images, table, found.classes, most)
    return Finding(tables, drawn)


def name_classes(table: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    """The table with the images' indices as a column, and the classes by name."""
    named = {
        column: [classes[label] for label in table[column]] for column in ("label", "suggested")
    }
    return table.assign(**named).reset_index(names="index")


def draw_issues(images: Tensor, table: pd.DataFrame, classes: tuple[str, ...], most: int) -> Figure:
    """The most confident issues of the table, at most `most`; images uint8 [N, C, H, W]."""
    worst, names = table.head(most), shortened(classes)
    captions = [
        f"{names[label]}, or {names[suggested]}?  {margin:.2f}"
        for label, suggested, margin in zip(*(worst[column] for column in worst), strict=True)
    ]
    title = f"{len(table)} possible label issues in {len(images)}: label, suggestion, margin"
    return contact_sheet(images[worst.index.tolist()], captions, title)


def find_issues(logits: Tensor, labels: Tensor) -> pd.DataFrame:
    """Images whose label a model that was not trained on them confidently disputes.

    logits: [N, classes], labels: [N]. A label is an issue if the probability of another class is
    larger than the label's, and at least as large as it is on average for images of that class.
    margin is the difference of the two probabilities; the largest come first. The index is the
    image's. Source: confident learning, Northcutt, Jiang and Chuang, 2021.
    """
    probability = logits.double().softmax(1)
    own = probability.gather(1, labels[:, None])[:, 0]
    images = labels.bincount(minlength=probability.shape[1])
    # A class without images has no average to compare with: it is never suggested.
    average = own.new_zeros(len(images)).index_add(0, labels, own) / images
    average = average.nan_to_num(nan=math.inf)
    confident = probability.where(probability >= average, -1.0)
    best, suggested = confident.max(1)
    table = pd.DataFrame({"label": labels, "suggested": suggested, "margin": best - own})
    disputed = table[((best >= 0) & (best > own)).numpy()]
    return disputed.sort_values("margin", ascending=False, kind="stable")
