"""How sensitive each layer is to pruning: pruned alone, and not trained again."""

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor, nn

from src.core.finding import Finding
from src.core.plots import blank
from src.core.stats import wilson
from src.data.imageset import TrainVal
from src.models.checkpoint import Checkpoint
from src.models.cost import weight_layers
from src.models.pruning import importances, without
from src.models.scoring import predict

SHARES = (0.0, 0.25, 0.5, 0.75, 0.875)  # of a layer's units that are removed


def sensitivity(checkpoint: Checkpoint, data: TrainVal) -> Finding:
    """Accuracy on validation images, by layer and share of its units removed; nothing where there
    are no units."""
    if not checkpoint.network.body:
        return Finding()
    table = pd.DataFrame(_rows(checkpoint, data))
    return Finding({"sensitivity.csv": table}, {"sensitivity.svg": draw(table)})


def _rows(checkpoint: Checkpoint, data: TrainVal) -> list[dict[str, object]]:
    network, rows = checkpoint.network, []
    importance = importances(network, data.train)
    for number, layer in enumerate(weight_layers(network)[:-1]):
        kind = "convolution" if isinstance(layer, nn.Conv2d) else "hidden"
        for share in SHARES:
            kept = [
                _most_important(each, share * (place == number))
                for place, each in enumerate(importance)
            ]
            smaller = without(checkpoint, kept).model
            right = predict(smaller, data.val).argmax(1) == data.val.labels
            low, high = wilson(int(right.sum()), len(right))
            rows.append(
                {
                    "layer": f"{number + 1} {kind}",
                    "removed": share,
                    "units": len(kept[number]),
                    "accuracy": float(right.double().mean()),
                    "accuracy_lo": low,
                    "accuracy_hi": high,
                }
            )
    return rows


def _most_important(importance: Tensor, removed: float) -> Tensor:
    """The indices of the units that remain without a share of the least important ones."""
    count = max(1, round((1 - removed) * len(importance)))
    return importance.argsort(descending=True, stable=True)[:count].sort().values


def draw(table: pd.DataFrame) -> Figure:
    """Accuracy by share removed, a curve per layer."""
    figure = blank(
        5.5, 3.8, "Accuracy on validation images by the share of a layer's units removed"
    )
    axes = figure.subplots()
    for layer, curve in table.groupby("layer", sort=False):
        axes.plot(curve["removed"], curve["accuracy"], ".-", label=layer)
        axes.fill_between(curve["removed"], curve["accuracy_lo"], curve["accuracy_hi"], alpha=0.15)
    axes.set(
        xlabel="share of the layer's units removed",
        ylabel="accuracy on validation images, 95 % interval",
    )
    axes.legend(title="layer")
    return figure
