"""Pictures as files whose bytes depend only on what is drawn."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text
from torch import Tensor

from src.core.files import written_whole

LONGEST = 20  # characters of a name in a picture


def drawable(image: Tensor) -> np.ndarray:
    """[C, H, W] as Matplotlib takes it: colour with channels last, anything else as grey."""
    shown = image.permute(1, 2, 0) if len(image) == 3 else image.double().mean(0)
    return np.asarray(shown)


def legible(names: Sequence[str]) -> list[str]:
    """Classes as a picture can show them: long names cut, numbers where the font lacks a letter."""
    font = get_font(findfont(FontProperties()))
    return [
        name[:LONGEST] + "…" * (len(name) > LONGEST)
        if all(font.get_char_index(ord(character)) for character in name)
        else str(number)
        for number, name in enumerate(names)
    ]


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG file, whole or not at all; its texts are no formulas."""
    formulas = [text for axes in figure.axes for text in _powers_of_ten(axes)]
    for text in figure.findobj(Text):
        text.set_parse_math(text in formulas)
    with written_whole(path) as partial:
        # Without this entry the bytes would change with every release of Matplotlib.
        figure.savefig(partial, format="png", dpi=80, metadata={"Software": None})


def _powers_of_ten(axes: Axes) -> Iterator[Artist]:
    """The texts that Matplotlib itself writes as formulas."""
    for axis in (axes.xaxis, axes.yaxis):
        yield axis.get_offset_text()
        if axis.get_scale() == "log":
            yield from (*axis.get_majorticklabels(), *axis.get_minorticklabels())
