"""How training images lie in their frame, so that other pictures can be laid out alike.

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
FAINT = 16  # of 255, up to which a pixel is the ground
# Share of the frame that strokes cover: 0.13 of MNIST, 0.25 of USPS; of Fashion-MNIST 0.31.
COVERED = 0.28


@dataclass(frozen=True)
class Layout:
    """strokes: whether they are light strokes on an empty ground, as digits and letters are, not
    filled shapes. The rest is of strokes alone.

    longer: of the box around the strokes, the longer side, in pixels; by_mass: what is at the same
    place in all images, the centre of mass or else that of the box; down, across: where that is, in
    pixels from the first; stroke: width of strokes, as a share of `longer`.
    """

    strokes: bool
    longer: int
    by_mass: bool
    down: float
    across: float
    stroke: float


SHAPES = Layout(False, longer=0, by_mass=False, down=0.0, across=0.0, stroke=0.0)
# Of MNIST: measured as below.
MNIST = Layout(True, longer=20, by_mass=True, down=14.0, across=14.0, stroke=0.125)


def measure(images: np.ndarray) -> Layout:
    """The layout that most of these images have, uint8 [N, C, H, W], 0 the background."""
    grey = images[:MOST, 0]
    inked = [image for image in grey if (image >= INK).any()]
    if images.shape[1] != 1 or not inked or not _are_strokes(grey):
        return SHAPES
    boxes = [box_of(image > FAINT) for image in inked]
    masses = np.array([ndimage.center_of_mass(image) for image in inked])
    centres = np.array([[(each.start + each.stop - 1) / 2 for each in box] for box in boxes])
    by_mass = bool(masses.std(0).sum() < centres.std(0).sum())
    down, across = np.mean(masses if by_mass else centres, axis=0).round(2).tolist()
    widths = [
        stroke_width(image[box]) / longer_side(box) for image, box in zip(inked, boxes, strict=True)
    ]
    return Layout(
        strokes=True,
        longer=round(float(np.median([longer_side(box) for box in boxes]))),
        by_mass=by_mass,
        down=down,
        across=across,
        stroke=round(float(np.median(widths)), 4),
    )


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


def _are_strokes(grey: np.ndarray) -> bool:
    edges = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1)
    empty = np.median(edges, axis=1) <= FAINT
    covered = (grey >= INK).mean((1, 2))
    return bool(empty.mean() > 0.9 and np.median(covered) < COVERED)


def box_of(mask: np.ndarray) -> Box:
    """The smallest box with all that is true in a mask [H, W], of which something is."""
    found = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
    rows, columns = (slice(int(each[0]), int(each[-1]) + 1) for each in found)
    return rows, columns


def longer_side(box: Box) -> int:
    return max(int(each.stop) - int(each.start) for each in box)
