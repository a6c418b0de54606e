"""How much of each layer a network can lose: pruned layer by layer, not trained again."""

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor, nn

from src.core.finding import Finding
from src.core.plots import blank
from src.core.stats import wilson
from src.data.imageset import TrainVal
from src.models.checkpoint import Checkpoint
from src.models.cost import weighted
from src.models.pruning import importances, without
from src.models.scoring import predict

SHARES = (0.0, 0.25, 0.5, 0.75, 0.875)  # of a layer's units that are taken away


def sensitivity(checkpoint: Checkpoint, data: TrainVal) -> Finding:
    """Accuracy on validation images, by layer and share of its units taken away."""
    table = pd.DataFrame(_rows(checkpoint, data))
    return Finding({"sensitivity.csv": table}, {"sensitivity.svg": draw(table)})


def _rows(checkpoint: Checkpoint, data: TrainVal) -> list[dict[str, object]]:
    network, rows = checkpoint.network, []
    importance = importances(network, data.train)
    for number, layer in enumerate(weighted(network)[:-1]):
        kind = "convolution" if isinstance(layer, nn.Conv2d) else "hidden"
        for share in SHARES:
            kept = [_best(each, share * (place == number)) for place, each in enumerate(importance)]
            smaller = without(checkpoint, kept).model
            right = predict(smaller, data.val).argmax(1) == data.val.labels
            low, high = wilson(int(right.sum()), len(right))
            rows.append(
                {
                    "layer": f"{number + 1} {kind}",
                    "taken": share,
                    "units": len(kept[number]),
                    "accuracy": float(right.double().mean()),
                    "accuracy_lo": low,
                    "accuracy_hi": high,
                }
            )
    return rows


def _best(importance: Tensor, taken: float) -> Tensor:
    """The indices of the units that remain without a share of the least important ones."""
    count = max(1, round((1 - taken) * len(importance)))
    return importance.argsort(descending=True, stable=True)[:count].sort().values


def draw(table: pd.DataFrame) -> Figure:
    """Accuracy by share taken away, a curve per layer."""
    figure = blank(
        5.5, 3.8, "Accuracy on validation images by the share of a layer's units taken away"
    )
    axes = figure.subplots()
    for layer, curve in table.groupby("layer", sort=False):
        axes.plot(curve["taken"], curve["accuracy"], ".-", label=layer)
        axes.fill_between(curve["taken"], curve["accuracy_lo"], curve["accuracy_hi"], alpha=0.15)
    axes.set(
        xlabel="share of the layer's units taken away",
        ylabel="accuracy on validation images, 95 % interval",
    )
    axes.legend(title="layer")
    return figure
