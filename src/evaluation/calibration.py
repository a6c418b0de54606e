"""How well a classifier's confidence matches its accuracy, and a temperature that corrects it."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from src.core.finding import Finding
from src.core.stats import wilson
from src.data.imageset import ImageSet
from src.evaluation import figures
from src.evaluation.metrics import bin_numbers, measure
from src.evaluation.predictions import Evaluations
from src.evaluation.subjects import Subject
from src.models.checkpoint import Checkpoint
from src.models.scoring import predict

# Standard deviation of the prior of a temperature's logarithm. Without a prior, a small validation
# set without a mistake would drive the temperature to 0.
PRIOR = 0.5


def calibration(
    subjects: Sequence[Subject],
    evaluations: Evaluations,
    models: Mapping[str, Checkpoint],
    val_sets: Mapping[str, ImageSet],
    bins: int,
) -> Finding:
    """Each model on the data it is for: as trained, and with a temperature fitted on validation."""
    rows: list[dict[str, str | float]] = []
    panels = {}
    for subject in subjects:
        name, test = subject.name, subject.home
        val_set, found = val_sets[test], evaluations[name][test]
        logits, labels = predict(models[name].model, val_set).cpu(), val_set.labels.cpu()
        temperature = fit_temperature(logits, labels)
        scaled = found.logits / temperature
        metrics = measure(scaled, found.labels, bins)
        rows.append(
            {
                "model": name,
                "test": test,
                "val_images": len(labels),
                "val_mistakes": int((logits.argmax(1) != labels).sum()),
                "temperature": temperature,
                "loss": found.metrics["loss"],
                "loss_scaled": metrics["loss"],
                "ece": found.metrics["ece"],
                "ece_scaled": metrics["ece"],
            }
        )
        panels[f"{name} on {test}"] = {
            "as trained": reliability(found.logits, found.labels, bins),
            f"temperature {temperature:.2f}": reliability(scaled, found.labels, bins),
        }
    return Finding(
        {"calibration.csv": pd.DataFrame(rows)},
        {"reliability.svg": figures.reliability(panels)},
        {
            f"{row['model']}_{row['test']}_{key}": float(row[key])
            for row in rows
            for key in ("temperature", "loss_scaled", "ece_scaled")
        },
    )


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The number by which to divide logits [N, classes] so that their cross-entropy is lowest.

    To be fitted on validation images and used on others; predictions stay as they are. Its
    logarithm has a normal prior around 0, which matters where images are few.
    Source: Guo, Pleiss, Sun and Weinberger, 2017; the prior is ours.
    """
    exact = logits.double()

    def cost(log_temperature: float) -> float:
        scaled = exact / math.exp(log_temperature)
        cross_entropy = F.cross_entropy(scaled, labels, reduction="sum").item()
        return cross_entropy + (log_temperature / PRIOR) ** 2 / 2

    return math.exp(minimize_scalar(cost, bounds=(-3, 3), method="bounded").x)


def reliability(logits: Tensor, labels: Tensor, bins: int) -> pd.DataFrame:
    """A row per non-empty bin of confidence: mean confidence, accuracy and its 95 % interval."""
    confidence, predicted = logits.double().softmax(1).max(1)
    right = predicted == labels
    bin_of = bin_numbers(confidence, bins)
    rows = []
    for number in bin_of.unique():
        members = bin_of == number
        n, correct = int(members.sum()), int(right[members].sum())
        low, high = wilson(correct, n)
        rows.append(
            {
                "from": number.item() / bins,
                "to": (number.item() + 1) / bins,
                "n": n,
                "confidence": confidence[members].mean().item(),
                "accuracy": correct / n,
                "accuracy_lo": low,
                "accuracy_hi": high,
            }
        )
    return pd.DataFrame(rows)
