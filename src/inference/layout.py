"""How training images lie in their frame, so that other pictures are laid out alike.

NumPy alone: what reads pictures starts without torch.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

Box = tuple[slice, slice]  # rows, columns

INK = 128  # of 255, from which a pixel belongs to a stroke
FINE = 80  # pixels of the longer side at least, for the width of strokes to be measured
MOST = 1_000  # images that are looked at
FAINT = 16  # of 255, up to which a pixel is background
# Share of the frame that strokes cover: 0.13 of MNIST, 0.25 of USPS; of Fashion-MNIST 0.31.
COVERED = 0.28


@dataclass(frozen=True)
class Layout:
    """light: whether the background is light; border: the median of an image's outermost pixels, 0
    to 255 from a dark background, is at most this in nearly all images.

    strokes: whether they are strokes on an empty background, as digits and letters are, not filled
    shapes. The rest is of strokes alone. longer: of the box around them, the longer side, in
    pixels; by_mass: what is at the same place in all images, the centre of mass or else that of the
    box; down, across: where that is, in pixels from the first; stroke: width of strokes, as a share
    of `longer`.
    """

    light: bool
    border: int
    strokes: bool
    longer: int
    by_mass: bool
    down: float
    across: float
    stroke: float


def like_mnist(height: int, width: int) -> Layout:
    """MNIST's layout, as measured there, in a frame of another size."""
    longer = round(20 * min(height, width) / 28)
    return Layout(False, FAINT, True, longer, True, height / 2, width / 2, 0.125)


def measure(images: np.ndarray) -> Layout:
    """The layout that most of these images have, uint8 [N, C, H, W]."""
    grey = images[spread(len(images), MOST), 0]
    light = images.shape[1] == 1 and float(np.median([*map(has_light_background, grey)])) > 0.5
    dark = 255 - grey if light else grey
    borders = np.median([border(image) for image in dark], axis=1)
    empty = max(FAINT, math.ceil(np.quantile(borders, 0.99)))
    inked = [image for image in dark if (image >= INK).any()]
    if images.shape[1] != 1 or not inked or not _are_strokes(dark, borders):
        return Layout(light, empty, False, 0, False, 0.0, 0.0, 0.0)
    boxes = [box_of(image > FAINT) for image in inked]
    masses = np.array([ndimage.center_of_mass(image) for image in inked])
    centres = np.array([[(each.start + each.stop - 1) / 2 for each in box] for box in boxes])
    by_mass = bool(masses.std(0).sum() < centres.std(0).sum())
    down, across = np.mean(masses if by_mass else centres, axis=0).round(2).tolist()
    widths = [
        stroke_width(image[box]) / longer_side(box) for image, box in zip(inked, boxes, strict=True)
    ]
    return Layout(
        light=light,
        border=empty,
        strokes=True,
        longer=round(float(np.median([longer_side(box) for box in boxes]))),
        by_mass=by_mass,
        down=down,
        across=across,
        stroke=round(float(np.median(widths)), 4),
    )


def spread(count: int, most: int) -> slice:
    """At most so many of the images, from all over them: they may be sorted by class."""
    return slice(None, None, math.ceil(count / most))


def border(image: np.ndarray) -> np.ndarray:
    """The outermost pixels of an image [H, W]."""
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def has_light_background(grey: np.ndarray) -> bool:
    edge = np.median(border(grey))
    return bool(edge > 127 and edge > grey.mean())


def stroke_width(image: np.ndarray) -> float:
    """The mean width of the strokes of an image [H, W], 0 to 255, in pixels."""
    finer = math.ceil(FINE / max(image.shape))
    large = Image.fromarray(image.astype(np.float32)).resize(
        (finer * image.shape[1], finer * image.shape[0]), Image.Resampling.BILINEAR
    )
    fine = np.asarray(large) >= INK
    # In a long strip, the mean distance from the edge is a quarter of its width.
    inside = ndimage.distance_transform_edt(np.pad(fine, 1))[1:-1, 1:-1][fine]
    return float(4 * (inside.mean() - 0.5) / finer) if inside.size else 0.0


def _are_strokes(dark: np.ndarray, borders: np.ndarray) -> bool:
    covered = (dark >= INK).mean((1, 2))
    return bool((borders <= FAINT).mean() > 0.9 and np.median(covered) < COVERED)


def box_of(mask: np.ndarray) -> Box:
    """The smallest box with all that is true in a mask [H, W], of which something is."""
    found = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
    rows, columns = (slice(int(each[0]), int(each[-1]) + 1) for each in found)
    return rows, columns


def longer_side(box: Box) -> int:
    return max(int(each.stop) - int(each.start) for each in box)
