"""Photos of handwritten digits, made by a script: paper, pen, lines, perspective, shadow, noise.

Written and committed before what prepares pictures for a model, and not changed since: photos of
the seed MEASURED measure that, and those of the seed TUNING were looked at while it was written.
"""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

MEASURED, TUNING = 2026, 1
SMALLEST, LARGEST = 20, 400  # pixels of a side
INKS = [(25, 25, 30), (30, 40, 120), (70, 70, 75), (140, 30, 40)]  # pen, blue pen, pencil, red pen
LINES = [(150, 180, 220), (190, 190, 195), (225, 170, 175)]  # what paper is ruled with
MARGIN = 0.25  # share of the sheet around what the camera sees, so that no photo has empty corners

Colour = tuple[int, int, int]


def photos(
    images: np.ndarray, labels: np.ndarray, count: int, seed: int
) -> tuple[list[Image.Image], list[int]]:
    """Photos of `count` of the digits uint8 [N, 28, 28], and their labels; each digit once."""
    draw = np.random.default_rng(seed)
    chosen = draw.permutation(len(images))[:count]
    return [photo(images[each], draw) for each in chosen], [int(labels[each]) for each in chosen]


def photo(digit: np.ndarray, draw: np.random.Generator) -> Image.Image:
    """A photo in RGB of one digit, uint8 [28, 28], light on dark, somewhere on a sheet of paper."""
    longer = round(np.exp(draw.uniform(np.log(SMALLEST), np.log(LARGEST))))
    shorter = max(SMALLEST, round(longer * draw.uniform(0.75, 1)))
    width, height = (longer, shorter) if draw.random() < 0.5 else (shorter, longer)
    # Of the digit: at least a third of the picture, and never less than 13 pixels.
    tall = draw.uniform(max(0.35, 13 / shorter), 0.8) * shorter

    sheet = _paper(width, height, tall, draw)
    _write(sheet, digit, tall, (width, height), draw)
    seen = _through_camera(sheet, width, height, draw)
    return _compressed(_noisy(_lit(seen, draw), longer, draw), draw)


def _paper(width: int, height: int, tall: float, draw: np.random.Generator) -> Image.Image:
    """A sheet, larger than the picture by its margins: plain, ruled or squared."""
    white = draw.integers(205, 250)
    tint = (int(white + change) for change in draw.integers(-8, 6, 3))
    sheet = Image.new("RGB", _sheet(width, height), tuple(tint))
    kind = draw.choice(["plain", "ruled", "squared"], p=[0.4, 0.4, 0.2])
    if kind == "plain":
        return sheet
    colour: Colour = LINES[draw.integers(len(LINES))]
    gap = max(5.0, tall * draw.uniform(0.45, 1.3))
    thick = max(1, round(max(width, height) / draw.uniform(150, 300)))
    pen = ImageDraw.Draw(sheet)
    for down in np.arange(draw.uniform(0, gap), sheet.height, gap):
        pen.line([(0, down), (sheet.width, down)], colour, thick)
    for across in np.arange(draw.uniform(0, gap), sheet.width, gap) if kind == "squared" else ():
        pen.line([(across, 0), (across, sheet.height)], colour, thick)
    return sheet


def _write(
    sheet: Image.Image,
    digit: np.ndarray,
    tall: float,
    seen: tuple[int, int],
    draw: np.random.Generator,
) -> None:
    """The digit, with a finer or a broader pen, where the camera will see it."""
    rows, columns = np.nonzero(digit > 60)
    box = digit[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    factor = tall / max(box.shape)
    size = (max(2, round(box.shape[1] * factor)), max(2, round(box.shape[0] * factor)))
    large = np.asarray(Image.fromarray(box).resize(size, Image.Resampling.BICUBIC), float) / 255
    # The edge of the stroke, where the grey of the original is cut; soft over a pixel or so.
    edge, soft = draw.uniform(0.35, 0.6), max(0.12, 0.5 / factor)
    cover = np.clip((large - edge) / soft + 0.5, 0, 1) * draw.uniform(0.75, 1)
    place = [
        round(side * MARGIN + draw.uniform(0.1, 0.9) * max(side - size[axis], 0))
        for axis, side in enumerate(seen)
    ]
    ink: Colour = INKS[draw.choice(len(INKS), p=[0.4, 0.3, 0.2, 0.1])]
    sheet.paste(ink, (place[0], place[1]), Image.fromarray((255 * cover).astype(np.uint8)))


def _sheet(width: int, height: int) -> tuple[int, int]:
    return round(width * (1 + 2 * MARGIN)), round(height * (1 + 2 * MARGIN))


def _through_camera(
    sheet: Image.Image, width: int, height: int, draw: np.random.Generator
) -> Image.Image:
    """What is seen of the sheet: a little turned, and from a little aside."""
    angle = np.radians(draw.uniform(-7, 7))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    half = np.array([width, height]) / 2
    # Corners as the transformation wants them: left above, left below, right below, right above.
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * half
    moved = corners @ turn.T + draw.uniform(-0.05, 0.05, (4, 2)) * [width, height]
    quad = (moved + np.array(sheet.size) / 2).flatten().tolist()
    return sheet.transform((width, height), Image.Transform.QUAD, quad, Image.Resampling.BICUBIC)


def _lit(picture: Image.Image, draw: np.random.Generator) -> np.ndarray:
    """Float [H, W, 3], 0 to 255: light from a side, and in half of the photos a soft shadow."""
    height, width = picture.height, picture.width
    down, across = np.mgrid[0:height, 0:width] / max(height, width)
    angle = draw.uniform(0, 2 * np.pi)
    along = across * np.cos(angle) + down * np.sin(angle)
    light = 1 - draw.uniform(0, 0.35) * (along - along.min()) / max(np.ptp(along), 1e-6)
    if draw.random() < 0.5:
        angle, sharp = draw.uniform(0, 2 * np.pi), draw.uniform(12, 60)
        along = across * np.cos(angle) + down * np.sin(angle)
        edge = np.quantile(along, draw.uniform(0.2, 0.8))
        light *= 1 - draw.uniform(0.15, 0.45) / (1 + np.exp(-sharp * (along - edge)))
    lit: np.ndarray = np.asarray(picture, float) * light[..., None]
    return lit


def _noisy(picture: np.ndarray, longer: int, draw: np.random.Generator) -> Image.Image:
    """A little out of focus, and with the noise of a sensor."""
    focus = ImageFilter.GaussianBlur(draw.uniform(0, 0.006) * longer)
    seen = np.asarray(Image.fromarray(picture.astype(np.uint8)).filter(focus), float)
    noise = draw.normal(0, draw.uniform(1, 7), seen.shape)
    return Image.fromarray(np.clip(seen + noise, 0, 255).astype(np.uint8))


def _compressed(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    kept = io.BytesIO()
    picture.save(kept, "JPEG", quality=int(draw.integers(45, 95)))
    return Image.open(io.BytesIO(kept.getvalue())).convert("RGB")
