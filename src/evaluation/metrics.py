"""How good a classifier is: pure functions of logits and labels."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor
from torch.nn import functional as F

from src.core.stats import wilson


def measure(logits: Tensor, labels: Tensor, bins: int) -> dict[str, float]:
    """The leaves of metrics.json for logits [N, classes] and labels [N].

    accuracy_lo and accuracy_hi bound the 95 % Wilson interval; loss is cross-entropy in nats;
    macro averages weigh every class alike.
    """
    predicted = logits.argmax(1)
    correct = int((predicted == labels).sum())
    low, high = wilson(correct, len(labels))
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, average="macro", zero_division=0.0
    )
    return {
        "n": len(labels),
        "accuracy": correct / len(labels),
        "accuracy_lo": low,
        "accuracy_hi": high,
        "loss": F.cross_entropy(logits, labels).item(),
        "precision_macro": float(precision),
        "recall_macro": float(recall),
        "f1_macro": float(f1),
        "ece": calibration_error(logits, labels, bins),
    }


def match_classes(
    logits: Tensor, known: tuple[str, ...], classes: tuple[str, ...]
) -> tuple[Tensor, tuple[str, ...]]:
    """Logits of a model of the classes `known` for images of `classes`, and the logits' names.

    Classes are the same where their names are. The names are `classes` and, after them, those
    that only the model knows. A class unknown to the model gets the smallest probability that
    float32 holds, so that the loss is large and finite.
    """
    if known == classes:
        return logits, classes
    names = (*classes, *(name for name in known if name not in classes))
    least = math.log(torch.finfo(torch.float32).tiny)
    matched = logits.new_full((len(logits), len(names)), least)
    matched[:, [names.index(name) for name in known]] = logits.log_softmax(1)
    return matched, names


def calibration_error(logits: Tensor, labels: Tensor, bins: int) -> float:
    """Expected calibration error, 0 to 1: how far confidence is from accuracy, over equal bins.

    Source: Naeini, Cooper and Hauskrecht, 2015, of the predicted class as in Guo et al., 2017.
    """
    confidence, predicted = logits.double().softmax(1).max(1)
    gap = (predicted == labels).double() - confidence
    # In each bin |accuracy - confidence|, weighted by its share of the images.
    sums = gap.new_zeros(bins).index_add(0, bin_numbers(confidence, bins), gap)
    return float(sums.abs().sum() / len(labels))


def bin_numbers(confidence: Tensor, bins: int) -> Tensor:
    """The number, from 0, of the equal interval of (0, 1] that holds each confidence."""
    return (confidence * bins).ceil().long().clamp(1, bins) - 1


def per_class(logits: Tensor, labels: Tensor, classes: Sequence[str]) -> pd.DataFrame:
    """Test images, precision, recall and F1 of each class, a row each."""
    precision, recall, f1, count = precision_recall_fscore_support(
        labels, logits.argmax(1), labels=range(len(classes)), zero_division=0.0
    )
    return pd.DataFrame(
        {"class": classes, "n": count, "precision": precision, "recall": recall, "f1": f1}
    )


def confusion(logits: Tensor, labels: Tensor) -> np.ndarray:
    """Counts, int64 [classes, classes]: the row is the label, the column the prediction."""
    counts: np.ndarray = confusion_matrix(labels, logits.argmax(1), labels=range(logits.shape[1]))
    return counts


def predictions(logits: Tensor, labels: Tensor, classes: Sequence[str]) -> pd.DataFrame:
    """A row per image, in order: its class, the predicted class and the probability of that."""
    confidence, predicted = logits.softmax(1).max(1)
    names = np.array(classes)
    return pd.DataFrame(
        {"actual": names[labels], "predicted": names[predicted], "confidence": confidence}
    )
