"""Contact sheets: many small images in one picture, with captions."""

import textwrap
from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from src.core.plots import blank

PAPER = 255
COLUMNS = 8  # at most, unless told otherwise
LINE, GAP, HEAD = 0.15, 0.06, 0.4  # inches: of a caption's line, between images, of the title
LETTERS = 15  # of a caption, to an inch


def contact_sheet(
    images: Tensor,
    captions: Sequence[str],
    title: str,
    columns: int | None = None,
    cell: float = 0.95,
    *,
    by_row: bool = False,
) -> Figure:
    """Images uint8 [N, C, H, W], row by row, with a caption below each; by_row: below each row.

    Colour stays as it is; anything else is drawn as ink on paper. columns: if not given, as many as
    make the rows equally long. cell: the width of an image in inches.
    """
    alt = "; ".join([title, *captions])
    if not len(images):
        figure = blank(4, HEAD, alt)
        figure.suptitle(title)
        return figure
    height, width = images.shape[2:]
    pixel = cell / width  # in inches
    gap = max(1, round(GAP / pixel))
    columns = columns or -(-len(images) // -(-len(images) // COLUMNS))
    letters = round(LETTERS * cell * (columns if by_row else 1))
    lines = [textwrap.fill(caption, letters) for caption in captions]
    room = round(max((text.count("\n") + 1 for text in lines), default=0) * LINE / pixel)
    figure, axes = _drawn(_arranged(images, columns, gap, room), pixel, title, alt)
    for number, text in enumerate(lines):
        row, column = (number, 0) if by_row else divmod(number, columns)
        across = gap + column * (width + gap) + (0 if by_row else width / 2)
        down = gap + row * (height + room + gap) + height
        side: Literal["left", "center"] = "left" if by_row else "center"
        axes.text(across, down, text, size=8, ha=side, va="top", linespacing=1.1)
    return figure


def _arranged(images: Tensor, columns: int, gap: int, room: int) -> Tensor:
    """As one, [3, height, width], with room for a caption below each; lengths in pixels."""
    across = min(columns, len(images))
    down = -(-len(images) // across)
    cells = F.pad(filled_up(images, down * across), (gap, 0, gap, room), value=PAPER)
    rows = cells.unflatten(0, (down, across)).permute(2, 0, 3, 1, 4)  # 3, down, H, across, W
    return F.pad(rows.flatten(3).flatten(1, 2), (0, gap, 0, gap), value=PAPER)


def _drawn(sheet: Tensor, pixel: float, title: str, alt: str) -> tuple[Figure, Axes]:
    """pixel: the side of one, in inches."""
    high, wide = (side * pixel for side in sheet.shape[1:])
    whole = max(wide, 0.09 * len(title))
    figure = blank(whole, high + HEAD, alt)
    figure.set_layout_engine("none")
    figure.text(GAP / whole, 1 - HEAD / 2 / (high + HEAD), title, va="center")
    axes = figure.add_axes((0, 0, wide / whole, high / (high + HEAD)))
    axes.axis("off")
    axes.imshow(sheet.permute(1, 2, 0).numpy(), interpolation="none", aspect="auto")
    return figure, axes


def filled_up(images: Tensor, count: int) -> Tensor:
    """The images on paper, and blank sheets, [count, 3, H, W]."""
    drawn = on_paper(images)
    return F.pad(drawn, (0, 0, 0, 0, 0, 0, 0, count - len(drawn)), value=PAPER)


def on_paper(images: Tensor) -> Tensor:
    """Images uint8 [N, C, H, W] as they are drawn, [N, 3, H, W]."""
    if images.shape[1] == 3:
        return images
    ink = 255 - images.double().mean(1, keepdim=True).round().byte()
    return ink.expand(-1, 3, -1, -1)
