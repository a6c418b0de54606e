"""Pictures laid out as the training images are: photos and scans of writing, drawings, shapes.

Writing goes the way that MNIST's went: the ink alone, scaled into a box, its centre of mass in the
middle of the frame. Source: LeCun, Bottou, Bengio and Haffner, 1998, section III.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from PIL import Image
from scipy import ndimage

from src.inference.ink import inked
from src.inference.layout import (
    Box,
    Layout,
    border,
    box_of,
    has_light_background,
    like_mnist,
    longer_side,
    stroke_width,
)
from src.inference.usage import Usage
from src.inference.writing import disc, writing_in

WORK = 128  # pixels of the longer side, at which writing is looked for
LARGE = 48  # pixels of writing's own longer side, below which it is looked at again more closely
AROUND = 0.4  # of the writing's longer side, seen around it then
EDGE = 64  # of 255, from which a pixel belongs to the box of the writing
TYPICAL = 70  # percentile of the writing's ink, that is made white
THIN = 0.8  # of the usual width of strokes, below which they are broadened


class Step(NamedTuple):
    """What was done, in words, and what came of it, uint8 [H, W] or [H, W, 3]."""

    did: str
    image: np.ndarray


@dataclass(frozen=True)
class Prepared:
    """pixels: for the model, uint8 [C, H, W]; steps: how they were made; others: how many pieces of
    writing were left out, of those as large as what was not."""

    pixels: np.ndarray
    steps: tuple[Step, ...]
    others: int = 0


def prepare(picture: np.ndarray, usage: Usage) -> Prepared:
    """picture: uint8, [H, W] grey, [H, W, 3] colour or [H, W, 4] with opacity."""
    channels, height, width = usage.image_shape
    layout = usage.layout or like_mnist(height, width)
    if channels == 3:
        return _shape(np.asarray(_opaque(picture).convert("RGB")), False, height, width)
    grey = picture if picture.ndim == 2 else np.asarray(_opaque(picture).convert("L"))
    if is_laid_out(grey, layout, height, width):
        return Prepared(grey[None], (Step("taken as it is: of the model's size already", grey),))
    if layout.strokes:
        prepared = _writing(grey, layout, height, width)
        return _inverted(prepared) if layout.light else prepared
    turn = has_light_background(grey) != layout.light
    return _shape(255 - grey if turn else grey, layout.light, height, width)


def _opaque(picture: np.ndarray) -> Image.Image:
    """What is transparent becomes a background that differs from the rest."""
    image = Image.fromarray(picture)
    if image.mode != "RGBA":
        return image
    opacity = picture[..., 3].astype(np.float32) / 255
    seen = (picture[..., :3].mean(2) * opacity).sum() / max(opacity.sum(), 1)
    tone = 255 if seen < 128 else 0
    return Image.alpha_composite(Image.new("RGBA", image.size, (tone, tone, tone, 255)), image)


def is_laid_out(grey: np.ndarray, layout: Layout, height: int, width: int) -> bool:
    """Whether an image has the model's size, and strokes their background, already."""
    dark = 255 - grey if layout.light else grey
    own = not layout.strokes or np.median(border(dark)) <= layout.border
    return grey.shape == (height, width) and bool(own)


def _shape(picture: np.ndarray, light: bool, height: int, width: int) -> Prepared:
    """As large as fits, in the middle, as `framing.fit_images` does it."""
    factor = min(height / picture.shape[0], width / picture.shape[1])
    inner = tuple(max(1, round(side * factor)) for side in picture.shape[:2])
    scaled = np.asarray(
        Image.fromarray(picture).resize((inner[1], inner[0]), Image.Resampling.BICUBIC)
    )
    frame = np.full((height, width, *picture.shape[2:]), 255 if light else 0, np.uint8)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    frame[top : top + inner[0], left : left + inner[1]] = scaled
    pixels = frame.transpose(2, 0, 1) if frame.ndim == 3 else frame[None]
    return Prepared(pixels, (Step("scaled into the frame", frame),))


def _inverted(prepared: Prepared) -> Prepared:
    pixels = 255 - prepared.pixels
    step = Step("inverted, as the training images are", pixels[0])
    return Prepared(pixels, (*prepared.steps, step), prepared.others)


class _View(NamedTuple):
    """A picture, or a part of it, small enough to be looked at: its ink, and which is writing."""

    image: np.ndarray  # float32 [H, W], 0 to 255
    ink: np.ndarray  # as `inked` has it
    light: bool
    writing: np.ndarray  # bool [H, W]
    others: int  # as `Writing` has it

    @classmethod
    def of(cls, grey: np.ndarray) -> Self:
        factor = min(1, WORK / max(grey.shape))
        image = _resized(grey, factor, Image.Resampling.BOX).astype(np.float32)
        ink, light = inked(image)
        return cls(image, ink, light, *writing_in(ink))


def _writing(grey: np.ndarray, layout: Layout, height: int, width: int) -> Prepared:
    whole = _View.of(grey)
    view = _closer(whole, grey) or whole
    seen = [("in grey", whole.image)]
    if view is not whole:
        seen.append(("looked at more closely", view.image))
    if not view.writing.any():
        seen.append(("no writing was found", view.ink))
        return _prepared(np.zeros((height, width)), seen, 0)
    cut = _cut_out(view)
    broad = _broadened(cut, layout.stroke)
    frame = _framed(broad, layout, height, width)
    light = "light on dark" if view.light else "dark on light"
    apart = "lines, specks and edges"
    if whole.others:
        apart += f", and {whole.others} other piece{'s' if whole.others > 1 else ''} of writing"
    seen += [
        (f"{light}: ink separated from the background", view.ink),
        (f"writing cut out, without {apart}", cut),
        ("strokes broadened" if broad is not cut else "strokes broad enough", broad),
        (f"scaled to {layout.longer} pixels, centred {'by mass' if layout.by_mass else ''}", frame),
    ]
    return _prepared(frame, seen, whole.others)


def _closer(view: _View, grey: np.ndarray) -> _View | None:
    """The writing's surroundings alone, if it is small in the view and there is more to see."""
    factor = max(grey.shape) / max(view.image.shape)
    if factor == 1 or not view.writing.any() or longer_side(box_of(view.writing)) >= LARGE:
        return None
    closer = _View.of(grey[_around(box_of(view.writing), factor, grey.shape)])
    return closer if closer.writing.any() else None


def _prepared(frame: np.ndarray, seen: Sequence[tuple[str, np.ndarray]], others: int) -> Prepared:
    steps = tuple(Step(did.strip(), image.astype(np.uint8)) for did, image in seen)
    return Prepared(frame[None].round().astype(np.uint8), steps, others)


def _cut_out(view: _View) -> np.ndarray:
    """The writing alone, 0 to 255, typical ink being 255, and its soft edges."""
    strength = np.percentile(view.ink[view.writing], TYPICAL)
    near = ndimage.binary_dilation(view.writing)
    clean = np.where(near, np.clip(255 * view.ink / strength, 0, 255), 0)
    return clean[box_of(clean > EDGE)]


def _resized(image: np.ndarray, factor: float, how: Image.Resampling) -> np.ndarray:
    height, width = (max(1, round(side * factor)) for side in image.shape)
    return np.asarray(Image.fromarray(image).resize((width, height), how))


def _around(box: Box, factor: float, shape: tuple[int, ...]) -> Box:
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
    brush = disc(missing / 2 - 0.25)
    around = np.pad(cut, len(brush) // 2)
    broad: np.ndarray = ndimage.maximum_filter(around, footprint=brush)
    return broad


def _framed(cut: np.ndarray, layout: Layout, height: int, width: int) -> np.ndarray:
    factor = min(layout.longer / max(cut.shape), height / cut.shape[0], width / cut.shape[1])
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    scaled = _resized(cut.astype(np.float32), factor, how)
    middle = ndimage.center_of_mass(scaled) if layout.by_mass else (np.array(scaled.shape) - 1) / 2
    corner = (np.array([layout.down, layout.across]) - middle).round().astype(int)
    top, left = np.clip(corner, 0, np.array([height, width]) - scaled.shape)
    frame = np.zeros((height, width), np.float32)
    frame[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    bright: np.ndarray = np.clip(frame * (255 / frame.max()), 0, 255)
    return bright
