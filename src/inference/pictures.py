"""Pictures from files and folders: PNG, JPEG, BMP and more, and IDX files of images."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from src.core.errors import UserError, first_line
from src.data.idx import read_idx

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".idx"}
IDX = ("-ubyte", "-ubyte.gz", ".idx", ".idx.gz")  # how the names of IDX files end
MOST = 100_000_000  # pixels of a picture; a small file can hold far more
LARGE = 1_000  # pixels of the longer side; pictures that are twice as large are reduced
DEEP = 257  # how many values of 16 bits make one of 8


@dataclass(frozen=True)
class Picture:
    """An image as it was found: uint8, [H, W] grey, [H, W, 3] colour or [H, W, 4] with opacity."""

    file: str
    index: int | None  # in an IDX file
    pixels: np.ndarray


def files(places: Iterable[Path]) -> Iterator[Path]:
    """The places, but in place of a folder the pictures in it, sorted, if it has any.

    What is hidden in it is left out, and so are the labels of IDX data sets.
    """
    for place in places:
        inside = (path.relative_to(place) for path in place.rglob("*") if path.is_file())
        yield from [place / path for path in sorted(inside) if _is_picture(path)] or [place]


def read_pictures(path: Path) -> Iterator[Picture]:
    """The picture of a file, or all images of an IDX file; else UserError, naming the file."""
    try:
        if path.name.endswith(IDX):
            for index, pixels in enumerate(_of_idx(path)):
                yield Picture(str(path), index, pixels)
        else:
            with path.open("rb") as file:
                pixels = decoded(file, str(path))
            yield Picture(str(path), None, pixels)
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found") from error
    except IsADirectoryError as error:
        raise UserError(
            f"{path}: has no picture (PNG, JPEG, BMP, GIF, WebP, TIFF or IDX)"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def decoded(file: IO[bytes], name: str) -> np.ndarray:
    """The pixels of a picture's file, see `Picture`; a UserError calls it `name` if it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, on files that it can read nevertheless
        try:
            return _pixels(Image.open(file, formats=FORMATS))
        except UnidentifiedImageError as error:
            raise UserError(f"{name}: not a picture (PNG, JPEG, BMP, GIF, WebP or TIFF)") from error
        except (Image.DecompressionBombError, MemoryError) as error:
            raise UserError(f"{name}: has too many pixels; at most {MOST} fit") from error
        except Exception as error:  # Pillow raises many kinds on damage, of no common base
            raise UserError(f"{name}: a damaged picture ({first_line(error)})") from error


def _pixels(opened: Image.Image) -> np.ndarray:
    """Of the first frame, the right way up, and not larger than need be."""
    if opened.width * opened.height > MOST:
        raise Image.DecompressionBombError
    opened.draft(None, (LARGE, LARGE))  # a JPEG can be decoded at a part of its size
    image = _in_bytes(ImageOps.exif_transpose(opened))
    factor = max(image.size) // LARGE
    return np.asarray(image.reduce(factor) if factor > 1 else image)


def _in_bytes(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """From grey of 16 bits, from whole numbers to 255, or from real ones to 255 or to 1."""
    if values.dtype.kind == "f":
        values = np.nan_to_num(values) * (255 if np.nanmax(values) <= 1 else 1)
    elif values.max() > 255:
        values = values // DEEP
    byte: np.ndarray = np.clip(values, 0, 255).astype(np.uint8)
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
    if any(part.startswith(".") for part in path.parts):
        return False
    if path.name.endswith(IDX):
        return "-labels" not in path.name
    return path.suffix.lower() in SUFFIXES
