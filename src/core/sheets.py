"""Contact sheets: many small images in one picture, with captions."""

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F
from torchvision.utils import make_grid

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
) -> Figure:
    """Images uint8 [N, C, H, W], each above its caption, row by row.

    Colour stays as it is; anything else is drawn as ink on paper. columns: if not given, as many as
    make the rows equally long. cell: the width of an image in inches.
    """
    lines = [textwrap.fill(caption, round(LETTERS * cell)) for caption in captions]
    alt = "; ".join([title, *filter(None, captions)])
    if not len(images):
        figure = blank(4, HEAD, alt)
        figure.suptitle(title)
        return figure
    height, width = images.shape[2:]
    pixel = cell / width  # in inches
    gap = max(1, round(GAP / pixel))
    room = round(max(text.count("\n") + 1 if text else 0 for text in lines) * LINE / pixel)
    columns = columns or -(-len(images) // -(-len(images) // COLUMNS))
    cells = F.pad(on_paper(images), (0, 0, 0, room), value=PAPER)
    sheet = make_grid(cells, columns, gap, pad_value=PAPER)
    if len(images) == 1:  # which make_grid leaves without a margin
        sheet = F.pad(sheet, (gap, gap, gap, gap), value=PAPER)
    high, wide = (side * pixel for side in sheet.shape[1:])
    whole = max(wide, 0.09 * len(title))
    figure = blank(whole, high + HEAD, alt)
    figure.set_layout_engine("none")
    figure.text(GAP / whole, 1 - HEAD / 2 / (high + HEAD), title, va="center")
    axes = figure.add_axes((0, 0, wide / whole, high / (high + HEAD)))
    axes.axis("off")
    axes.imshow(sheet.permute(1, 2, 0).numpy(), interpolation="none", aspect="auto")
    for number, text in enumerate(lines):
        row, column = divmod(number, columns)
        middle = gap + column * (width + gap) + width / 2
        below = gap + row * (height + room + gap) + height
        axes.text(middle, below, text, size=8, ha="center", va="top", linespacing=1.1)
    return figure


def on_paper(images: Tensor) -> Tensor:
    """Images uint8 [N, C, H, W] as they are drawn, [N, 3, H, W]."""
    if images.shape[1] == 3:
        return images
    ink = 255 - images.double().mean(1, keepdim=True).round().byte()
    return ink.expand(-1, 3, -1, -1)
