"""Pictures in one style, as SVG files whose bytes depend only on what is drawn."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context, style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.text import Text

from src.core.files import written_whole

LONGEST = 20  # characters of a name in a picture
INK, FAINT = "#222222", "#999999"
STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    # Told apart by people who are colour-blind, too (Okabe and Ito, 2008).
    "axes.prop_cycle": cycler(
        color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555"]
    ),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.titlesize": "medium",
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: a browser has letters that Matplotlib's font lacks
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def blank(width: float, height: float, alt: str) -> Figure:
    """A figure to draw on, in inches. alt: what it shows, for people who cannot see it."""
    style.use(["default", STYLE])  # whatever matplotlibrc a person has
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.set_label(alt)
    return figure


def shortened(names: Sequence[str]) -> list[str]:
    """Names of classes with at most LONGEST characters, as there is room for in a picture."""
    return [name[:LONGEST] + "…" * (len(name) > LONGEST) for name in names]


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure as an SVG file, whole or not at all; its texts are no formulas.

    The file's title is what `blank` was told that the figure shows.
    """
    formulas = [text for axes in figure.axes for text in _powers_of_ten(axes)]
    for text in figure.findobj(Text):
        text.set_parse_math(text in formulas)
    # Entries without which the bytes would change with the date and every release of Matplotlib.
    metadata = {"Title": str(figure.get_label()), "Date": None, "Creator": None}
    with (
        written_whole(path) as partial,
        # Without it, names of elements would be random. Equal names mean equal elements.
        rc_context({"svg.hashsalt": "idxflow"}),
        warnings.catch_warnings(),
    ):
        # Only the width of such a letter is guessed.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(partial, format="svg", metadata=metadata)


def _powers_of_ten(axes: Axes) -> Iterator[Artist]:
    """The texts that Matplotlib itself writes as formulas."""
    for axis in (axes.xaxis, axes.yaxis):
        yield axis.get_offset_text()
        if axis.get_scale() == "log":
            yield from (*axis.get_majorticklabels(), *axis.get_minorticklabels())
