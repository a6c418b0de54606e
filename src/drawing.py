"""Pictures as files whose bytes depend on what is drawn alone."""

from pathlib import Path

from matplotlib.figure import Figure

from src.files import written_whole


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG file, whole or not at all."""
    with written_whole(path) as partial:
        # Without this entry the bytes would change with every release of Matplotlib.
        figure.savefig(partial, format="png", dpi=80, metadata={"Software": None})
