"""Custom data made by the tests: each class is a bright square at a place of its own."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.data.idx import Array, Bytes, write_idx

SQUARE = 4
# Names of classes that mean something to HTML, to matplotlib or to a shell.
ODD = ["$x_1$", "<b>", "&amp;", "停车", "x" * 40, '"quoted"', "`code`", "<script>alert(1)</script>"]


def write_custom(
    folder: Path,
    *,
    classes: int = 3,
    size: int = 8,
    channels: int | None = None,
    each: int = 4,
    names: Sequence[str] = (),
    packed: bool = True,
    inverted: bool = False,
) -> Path:
    """`each` training and half as many test images of each class, in the four files."""
    kind = np.uint8 if classes <= 256 else np.int16
    for part, count in (("train", each), ("t10k", each // 2)):
        labels: Array = np.tile(np.arange(classes), count).astype(kind)
        images: Array = np.stack([_image(label, index, size) for index, label in enumerate(labels)])
        if inverted:
            images = 255 - images
        if channels:
            images = np.stack([images // (1 + channel) for channel in range(channels)], axis=-1)
        write_idx(folder / f"{part}-images-idx{images.ndim}-ubyte.gz", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    if not packed:
        for path in folder.glob("*.gz"):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    if names:
        (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names))
    return folder


def _image(label: int, index: int, size: int) -> Bytes:
    image = np.random.default_rng(index).integers(0, 64, (size, size), np.uint8)
    row, column = divmod(int(label) % (size // SQUARE) ** 2, size // SQUARE)
    image[row * SQUARE :, column * SQUARE :][:SQUARE, :SQUARE] = 255 - index % 50
    return image
