"""How far a classifier's confidence can be believed, and one number that mends it."""

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from src.core.stats import wilson
from src.core.tables import write_csv
from src.data.imageset import ImageSet
from src.evaluation.figures import draw_reliability
from src.evaluation.metrics import bin_numbers, measure
from src.evaluation.predictions import HOME, Evaluations
from src.models.checkpoint import Checkpoint
from src.models.predict import predict

# How far a temperature is from 1 before anything is known, as a deviation of its logarithm. Few
# images without a mistake would else ask for any confidence.
PRIOR = 0.5


def write_calibration(
    evaluations: Evaluations,
    models: Mapping[str, Checkpoint],
    val_sets: Mapping[str, ImageSet],
    bins: int,
    folder: Path,
) -> dict[str, float]:
    """How far each model is to be believed, as it is and with a temperature fitted on validation.

    Writes a table and the reliability diagram; returns the metrics by which runs are compared.
    """
    rows: list[dict[str, str | float]] = []
    panels = {}
    for name, checkpoint in models.items():
        role = HOME[name]
        val_set, found = val_sets[role], evaluations[name][role]
        said, labels = predict(checkpoint.model, val_set).cpu(), val_set.labels.cpu()
        temperature = fit_temperature(said, labels)
        cooled = found.logits / temperature
        metrics = measure(cooled, found.labels, bins)
        rows.append(
            {
                "model": name,
                "test": role,
                "val_images": len(labels),
                "val_mistakes": int((said.argmax(1) != labels).sum()),
                "temperature": temperature,
                "loss": found.metrics["loss"],
                "loss_scaled": metrics["loss"],
                "ece": found.metrics["ece"],
                "ece_scaled": metrics["ece"],
            }
        )
        panels[f"{name} on {role}"] = {
            "as trained": reliability(found.logits, found.labels, bins),
            f"temperature {temperature:.2f}": reliability(cooled, found.labels, bins),
        }
    write_csv(pd.DataFrame(rows), folder / "calibration.csv")
    draw_reliability(panels, folder / "reliability.png")
    return {
        f"{row['model']}_{row['test']}_{key}": float(row[key])
        for row in rows
        for key in ("temperature", "loss_scaled", "ece_scaled")
    }


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The number by which to divide logits [N, classes] for the lowest cross-entropy, about.

    To be fitted on validation images, for use on others; predictions stay as they are. The
    logarithm has a normal prior around 0, against which many images weigh more than few.
    Source: Guo, Pleiss, Sun and Weinberger, 2017; the prior is ours.
    """
    exact = logits.double()

    def cost(log_temperature: float) -> float:
        scaled = exact / math.exp(log_temperature)
        surprise = F.cross_entropy(scaled, labels, reduction="sum").item()
        return surprise + (log_temperature / PRIOR) ** 2 / 2

    return math.exp(minimize_scalar(cost, bounds=(-3, 3), method="bounded").x)


def reliability(logits: Tensor, labels: Tensor, bins: int) -> pd.DataFrame:
    """A row for each equal confidence interval that holds an image: how often it is right there.

    confidence is the mean in the bin; accuracy_lo and accuracy_hi bound the 95 % Wilson interval.
    """
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
