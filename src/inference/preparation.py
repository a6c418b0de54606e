"""Pictures laid out as the training images are: photos and scans of writing, drawings, shapes.

Writing goes the way that MNIST's went: the ink alone, scaled into a box, its centre of mass in the
middle of the frame. Source: LeCun, Bottou, Bengio and Haffner, 1998, section III.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from src.inference.layout import Layout, box_of, longer_side, stroke_width
from src.inference.usage import Usage

WORK = 192  # pixels of the longer side, at which writing is looked for
LARGE = 64  # pixels of writing's own longer side, below which it is looked at again more closely
AROUND = 0.4  # of the writing's longer side, seen around it then
WINDOW = 0.3  # of the picture's side; ink is narrower
DARKEST = 16  # of 255: a ground below it says nothing of how much ink there is
SURE = 0.5  # of the strength of what is surely ink, from which a pixel is ink
SMALL = 0.1  # of the largest piece's ink, below which a piece is a speck
THIN = 0.8  # of the usual width of strokes, below which they are broadened
GROUND = 16  # of 255, up to which the border of an image that is laid out already is the ground


class Step(NamedTuple):
    """What was done, in words, and what came of it, uint8 [H, W] or [H, W, 3]."""

    did: str
    image: np.ndarray


@dataclass(frozen=True)
class Prepared:
    """pixels: for the model, uint8 [C, H, W]; steps: how they were made."""

    pixels: np.ndarray
    steps: tuple[Step, ...]


def prepare(picture: np.ndarray, usage: Usage) -> Prepared:
    """picture: uint8, [H, W] grey, [H, W, 3] colour or [H, W, 4] with opacity."""
    channels, height, width = usage.image_shape
    if channels == 3:
        return _shape(_opaque(picture), height, width)
    grey = in_grey(picture)
    if is_laid_out(grey, height, width):
        return Prepared(grey[None], (Step("taken as it is: of the model's size, on black", grey),))
    layout = usage.layout or Layout(True, round(max(height, width) * 20 / 28), True, 0.13)
    if layout.strokes:
        return _writing(grey, layout, height, width)
    return _shape(255 - grey if _has_light_ground(grey) else grey, height, width)


def in_grey(picture: np.ndarray) -> np.ndarray:
    """Luminance (ITU-R BT.601), uint8 [H, W]; what is transparent becomes a ground that differs."""
    return np.asarray(Image.fromarray(_opaque(picture)).convert("L"))


def _opaque(picture: np.ndarray) -> np.ndarray:
    if picture.ndim < 3 or picture.shape[2] == 3:
        return picture
    opacity = picture[..., 3:] / 255
    seen = (picture[..., :3] * opacity).sum() / max(3 * opacity.sum(), 1)
    ground = 255 if seen < 128 else 0
    mixed: np.ndarray = (picture[..., :3] * opacity + ground * (1 - opacity)).round()
    return mixed.astype(np.uint8)


def is_laid_out(grey: np.ndarray, height: int, width: int) -> bool:
    """Whether an image has the model's size and an empty ground already."""
    return grey.shape == (height, width) and np.median(_border(grey)) <= GROUND


def _has_light_ground(grey: np.ndarray) -> bool:
    edge = np.median(_border(grey))
    return bool(edge > 127 and edge > grey.mean())


def _border(grey: np.ndarray) -> np.ndarray:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def _shape(picture: np.ndarray, height: int, width: int) -> Prepared:
    """As large as fits, in the middle, on black: as `framing.fit_images` does it."""
    factor = min(height / picture.shape[0], width / picture.shape[1])
    inner = tuple(max(1, round(side * factor)) for side in picture.shape[:2])
    scaled = np.asarray(
        Image.fromarray(picture).resize((inner[1], inner[0]), Image.Resampling.BICUBIC)
    )
    frame = np.zeros((height, width, *picture.shape[2:]), np.uint8)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    frame[top : top + inner[0], left : left + inner[1]] = scaled
    pixels = frame.transpose(2, 0, 1) if frame.ndim == 3 else frame[None]
    return Prepared(pixels, (Step("scaled into the frame", frame),))


def _writing(grey: np.ndarray, layout: Layout, height: int, width: int) -> Prepared:
    image = _shrunk(grey)
    ink, mask, light = _found(image)
    steps = [Step("in grey", image.astype(np.uint8))]
    if not mask.any():
        steps.append(Step("no ink was found", ink.astype(np.uint8)))
        return Prepared(np.zeros((1, height, width), np.uint8), tuple(steps))
    factor = max(grey.shape) / max(image.shape)
    if factor > 1 and longer_side(box_of(mask)) < LARGE:
        image = _shrunk(grey[_around(box_of(mask), factor, grey.shape)])
        ink, mask, light = _found(image)
        steps.append(Step("looked at more closely", image.astype(np.uint8)))
    ground = "light on dark" if light else "dark on light"
    steps.append(Step(f"{ground}: the ink without its ground", ink.astype(np.uint8)))
    strength = np.percentile(ink[mask], 70)
    near = ndimage.binary_dilation(mask)
    clean = np.where(near, np.clip(ink / strength, 0, 1), 0).astype(np.float32) * 255
    steps.append(Step("without lines, specks and shadows", clean.astype(np.uint8)))
    cut = _broadened(clean[box_of(clean > 255 * SURE / 2)], layout.stroke)
    steps.append(Step("cut out, strokes as broad as usual", cut.astype(np.uint8)))
    frame = _framed(cut, layout, height, width)
    middle = "centre of mass" if layout.by_mass else "box"
    steps.append(Step(f"scaled to {layout.longer} pixels, its {middle} in the middle", frame))
    return Prepared(frame[None], tuple(steps))


def _shrunk(grey: np.ndarray) -> np.ndarray:
    factor = min(1, WORK / max(grey.shape))
    size = (max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor)))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX), np.float32)


def _found(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """The ink from 0 to 255, where it is writing, and whether it is light on dark."""
    ink, light = _inked(image)
    return ink, _written(ink), light


def _inked(image: np.ndarray) -> tuple[np.ndarray, bool]:
    side = max(image.shape)
    smooth = ndimage.gaussian_filter(image, 0.004 * side)
    high = image - ndimage.gaussian_filter(image, 0.15 * side)
    light = float((high**3).sum()) > 0
    seen = 255 - smooth if light else smooth
    window = max(5, round(WINDOW * side)) | 1
    ground = ndimage.grey_closing(ndimage.gaussian_filter(seen, 0.01 * side), size=(window, window))
    ground = ndimage.gaussian_filter(ground, window / 4)
    ink = ground - seen if light else 255 * (1 - seen / np.maximum(ground, DARKEST))
    return np.clip(ink, 0, 255), light


def _written(ink: np.ndarray) -> np.ndarray:
    strong = ink >= _otsu(ink)
    mask: np.ndarray = ink >= SURE * np.percentile(ink[strong], 75)
    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    weights = ndimage.sum_labels(ink, pieces, np.arange(1, count + 1))
    return np.isin(pieces, np.flatnonzero(weights >= SMALL * weights.max()) + 1)


def _otsu(values: np.ndarray) -> float:
    """The threshold that parts values best into two groups. Source: Otsu, 1979."""
    counts, edges = np.histogram(values, 128)
    middles = (edges[:-1] + edges[1:]) / 2
    below, sums = counts.cumsum(), (counts * middles).cumsum()
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(middles[np.nanargmax(between)])


def _around(box: tuple[slice, slice], factor: float, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The same place in a picture that is larger by this factor, and what is around it."""
    more = AROUND * longer_side(box)
    rows, columns = (
        slice(
            max(0, math.floor((each.start - more) * factor)),
            min(side, math.ceil((each.stop + more) * factor)),
        )
        for each, side in zip(box, shape, strict=True)
    )
    return rows, columns


def _broadened(cut: np.ndarray, usual: float) -> np.ndarray:
    """usual: width of strokes as a share of the longer side."""
    longer = max(cut.shape)
    missing = usual * longer - stroke_width(cut)
    if missing < (1 - THIN) * usual * longer:
        return cut
    radius = missing / 2
    reach = math.ceil(radius)
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = down**2 + across**2 <= radius**2 + 0.5
    broad: np.ndarray = ndimage.maximum_filter(np.pad(cut, reach), footprint=disc)
    return broad


def _framed(cut: np.ndarray, layout: Layout, height: int, width: int) -> np.ndarray:
    factor = layout.longer / max(cut.shape)
    size = (max(1, round(cut.shape[1] * factor)), max(1, round(cut.shape[0] * factor)))
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    scaled = np.asarray(Image.fromarray(cut.astype(np.float32)).resize(size, how))
    scaled = np.clip(scaled * (255 / scaled.max()), 0, 255)
    own = np.array(ndimage.center_of_mass(scaled) if layout.by_mass else np.array(scaled.shape) / 2)
    own = own if layout.by_mass else own - 0.5
    room = np.array([height, width]) - scaled.shape
    top, left = np.clip(((np.array([height, width]) - 1) / 2 - own).round().astype(int), 0, room)
    frame = np.zeros((height, width), np.uint8)
    frame[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled.round()
    return frame
