"""Pictures from files and folders: PNG, JPEG, BMP and more, and IDX files of images."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from src.core.errors import UserError, first_line
from src.data.idx import read_idx

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".idx"}
IDX = ("-ubyte", "-ubyte.gz", ".idx", ".idx.gz")  # how the names of IDX files end
MOST = 100_000_000  # pixels of a picture; a small file can hold far more
DEEP = 257  # how many values of 16 bits make one of 8


@dataclass(frozen=True)
class Picture:
    """An image as it was found: uint8, [H, W] grey, [H, W, 3] colour or [H, W, 4] with opacity."""

    file: str
    index: int | None  # in an IDX file
    pixels: np.ndarray


def files(places: Iterable[Path]) -> Iterator[Path]:
    """The places that are files, and the pictures in those that are folders, sorted.

    Raises UserError for a place that is not there, and for a folder without a picture.
    """
    for place in places:
        if not place.is_dir():
            yield place
            continue
        found = sorted(path for path in place.rglob("*") if path.is_file() and _is_picture(path))
        if not found:
            raise UserError(f"{place}: has no picture (PNG, JPEG, BMP, GIF, WebP, TIFF or IDX)")
        yield from found


def read_pictures(path: Path) -> Iterator[Picture]:
    """The picture of a file, or all images of an IDX file; else UserError, naming the file."""
    if path.name.endswith(IDX):
        for index, pixels in enumerate(_of_idx(path)):
            yield Picture(str(path), index, pixels)
        return
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, on files that it can read nevertheless
            yield Picture(str(path), None, decoded(Image.open(file, formats=FORMATS), str(path)))
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found") from error
    except UnidentifiedImageError as error:
        raise UserError(
            f"{path}: not a picture (PNG, JPEG, BMP, GIF, WebP, TIFF), and not named as IDX files "
            "are (...-ubyte or .idx)"
        ) from error


def decoded(opened: Image.Image, name: str) -> np.ndarray:
    """The pixels of a picture, its first frame, the right way up; see `Picture`."""
    if opened.width * opened.height > MOST:
        raise UserError(f"{name}: has {opened.width * opened.height} pixels; at most {MOST} fit")
    try:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith(("I", "F")):
            return _eight_bits(np.asarray(image))
        if image.has_transparency_data:
            return np.asarray(image.convert("RGBA"))
        return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    except (OSError, ValueError, SyntaxError, MemoryError) as error:  # as Pillow reports damage
        raise UserError(f"{name}: a damaged picture ({first_line(error)})") from error


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """From grey of 16 bits, or from numbers on the scale 0 to 255."""
    deep = values.dtype == np.uint16 or (values.dtype.kind == "i" and values.max() > 255)
    byte: np.ndarray = np.clip(values / (DEEP if deep else 1), 0, 255).astype(np.uint8)
    return byte


def _of_idx(path: Path) -> np.ndarray:
    images = read_idx(path)
    channels = images.shape[3] if images.ndim == 4 else 1
    if images.ndim not in (3, 4) or channels not in (1, 3):
        raise UserError(f"{path}: should hold images, not values of shape {images.shape}")
    if images.dtype != np.uint8:
        raise UserError(f"{path}: values should be unsigned bytes, not {images.dtype}")
    return images[..., 0] if images.ndim == 4 and channels == 1 else images


def _is_picture(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return not hidden and (path.suffix.lower() in SUFFIXES or path.name.endswith(IDX))
