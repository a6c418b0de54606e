"""Pictures as files whose bytes depend only on what is drawn."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from src.core.files import written_whole


def drawable(image: Tensor) -> np.ndarray:
    """[C, H, W] as Matplotlib takes it: colour with channels last, anything else as grey."""
    shown = image.permute(1, 2, 0) if len(image) == 3 else image.double().mean(0)
    return np.asarray(shown)


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG file, whole or not at all."""
    with written_whole(path) as partial:
        # Without this entry the bytes would change with every release of Matplotlib.
        figure.savefig(partial, format="png", dpi=80, metadata={"Software": None})
