"""The ink of a picture without its background: whichever is darker, and however it is lit."""

import numpy as np
from PIL import Image
from scipy import ndimage

from src.inference.layout import border

MIN_SKEW = 1.0  # from which the sign of the skewness alone tells whether strokes are light
BLUR = 0.15  # of the side: strokes are finer, light and shadow are wider
GRAIN = 0.005  # of the side, over which the noise of a sensor and of paper is evened out
BORDER_MARGIN = 0.15  # a border as close as this to half dark decides nothing
MAX_VARIANCE = 0.12  # within the two tones of a picture, as a share of the whole
MAX_STROKE = 0.2  # half the width of its broadest stroke, as a share of the side
WINDOW = 0.3  # of the side; on an uneven background, strokes are finer
DARKEST = 16  # of 255: a background below it says nothing of how much ink there is
FAINTEST = 8  # of 255, below which there is no ink


def inked(image: np.ndarray) -> tuple[np.ndarray, bool]:
    """How much ink is where, 0 to 255 [H, W], and whether it is light on dark.

    image: float32 [H, W], 0 to 255.
    """
    if np.ptp(image) < FAINTEST:
        return np.zeros_like(image), False
    light = _is_light(image)
    dark = 255 - image if light else image
    ink = _of_two_tones(dark)
    return (_without_background(dark, light) if ink is None else ink), light


def _is_light(image: np.ndarray) -> bool:
    """Whether the strokes are lighter than what is around them."""
    high = image - _blurred(image, BLUR)
    squares = high * high
    skew = float((squares * high).mean() / max(float(squares.mean()) ** 1.5, 1e-6))
    if abs(skew) >= MIN_SKEW:
        return skew > 0
    # Strokes that fill the picture are not skewed: what is at most of its border is the background.
    dark_border = float((border(image) < otsu(image)).mean())
    return dark_border > 0.5 if abs(dark_border - 0.5) > BORDER_MARGIN else skew > 0


def _of_two_tones(dark: np.ndarray) -> np.ndarray | None:
    """The ink, dark, of a picture of two tones, however broad its strokes; else None."""
    inked = dark < otsu(dark)
    spread = dark[inked].var() * inked.mean() + dark[~inked].var() * (1 - inked.mean())
    if spread > MAX_VARIANCE * dark.var():
        return None
    broadest = ndimage.distance_transform_edt(np.pad(inked, 1, "edge")).max()
    if broadest > MAX_STROKE * max(dark.shape):
        return None
    paper, pen = np.median(dark[~inked]), np.median(dark[inked])
    tones: np.ndarray = np.clip(255 * (paper - dark) / (paper - pen), 0, 255)
    return tones


def _without_background(dark: np.ndarray, light: bool) -> np.ndarray:
    """The ink, dark, on a background that may be lit unevenly."""
    side = max(dark.shape)
    seen = ndimage.gaussian_filter(dark, GRAIN * side)
    window = max(5, round(WINDOW * side)) | 1
    closed = ndimage.grey_closing(ndimage.gaussian_filter(dark, 2 * GRAIN * side), (window, window))
    background = _blurred(closed, WINDOW / 4)
    # Shadows dim paper and ink alike; of chalk and screens only the difference is known.
    ink = background - seen if light else 255 * (1 - seen / np.maximum(background, DARKEST))
    clipped: np.ndarray = np.clip(ink, 0, 255)
    return clipped


def _blurred(image: np.ndarray, share: float) -> np.ndarray:
    """By a Gaussian: its standard deviation is a share of the side. Computed at a quarter of it."""
    height, width = image.shape
    small = Image.fromarray(image.astype(np.float32)).resize(
        (max(1, width // 4), max(1, height // 4)), Image.Resampling.BOX
    )
    blurred = ndimage.gaussian_filter(np.asarray(small), share * max(small.size))
    return np.asarray(Image.fromarray(blurred).resize((width, height), Image.Resampling.BILINEAR))


def otsu(values: np.ndarray) -> float:
    """The threshold that parts values best into two groups. Source: Otsu, 1979."""
    counts, edges = np.histogram(values, 128)
    middles = (edges[:-1] + edges[1:]) / 2
    below, sums = counts.cumsum()[:-1], (counts * middles).cumsum()[:-1]
    above = values.size - below
    means = sums / below, ((counts * middles).sum() - sums) / above
    return float(edges[1 + (below * above * (means[0] - means[1]) ** 2).argmax()])
