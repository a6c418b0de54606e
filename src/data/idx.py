"""The IDX format of the MNIST family: reading, which rejects every malformed file, and writing.

A file is two zero bytes, a type code, the number of dimensions, each dimension as a big-endian
uint32, then the values, big-endian too; as published it is gzipped.
Source: the MNIST database, LeCun, Cortes and Burges, "the IDX file format".
"""

import gzip
import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import starmap, zip_longest
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from src.core.errors import UserError
from src.core.files import written_whole

# The four files of a data set, as MNIST names them.
TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"

TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
}
CODES = {kind: code for code, kind in TYPES.items()}
MAX_DIMENSIONS = 4  # images, height, width, and channels of the colour variants
MAX_BYTES = 1 << 32  # of values: a small gzip file can hold far more
PIECE = 1 << 22  # bytes that are read at a time
GZIP = b"\x1f\x8b"

Bytes = npt.NDArray[np.uint8]
Array = npt.NDArray[np.integer[Any]]


def read_idx(path: Path) -> Array:
    """The array in an IDX file, gzipped or not, with the shape and the type that its header states.

    Types are uint8, int16 and int32. Raises UserError, naming the file, for anything but a header
    followed by exactly its values.
    """
    return np.concatenate([*read_pieces(path)])


def read_pieces(path: Path) -> Iterator[Array]:
    """What `read_idx` returns, in pieces of a few MB along the first dimension.

    So a file of any size can be read. That it is sound is known only after the last piece.
    """
    with _opened(path) as stream:
        kind, shape = _read_header(stream, path)
        row = math.prod(shape[1:]) * kind.itemsize
        if (size := shape[0] * row) > MAX_BYTES:
            raise UserError(f"{path}: its header announces {size} bytes; at most {MAX_BYTES} fit")
        rows = max(1, PIECE // row)
        for first in range(0, shape[0], rows):
            count = min(rows, shape[0] - first)
            values = _read_exactly(stream, count * row, path, f"values of shape {shape}")
            piece = np.frombuffer(values, kind).reshape(count, *shape[1:])
            yield piece.astype(kind.newbyteorder("="), copy=False)
        # Reading on also makes gzip verify its checksum.
        if stream.read(1):
            raise UserError(f"{path}: has more bytes than its header {shape} announces")


def same_content(one: Path, other: Path) -> bool:
    """Whether two IDX files, gzipped or not, hold the same array."""
    return all(starmap(np.array_equal, zip_longest(read_pieces(one), read_pieces(other))))


def read_shape(path: Path) -> tuple[int, ...]:
    """The dimensions that the header of an IDX file of bytes states; else UserError."""
    with _opened(path) as stream:
        kind, shape = _read_header(stream, path)
    if kind != np.uint8:
        raise UserError(f"{path}: values should be unsigned bytes, not type 0x{CODES[kind]:02x}")
    return shape


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file's content, unpacked; a fault in the gzip stream is a UserError."""
    try:
        with path.open("rb") as file:
            packed = file.read(len(GZIP)) == GZIP
            file.seek(0)
            yield gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[misc]
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found") from error
    except EOFError as error:
        raise UserError(f"{path}: the gzip stream ends too early; fetch the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: not an intact gzip file ({error})") from error


def _read_header(stream: IO[bytes], path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = _read_exactly(stream, 4, path, "magic number")
    if magic[:2] != b"\0\0":
        raise UserError(f"{path}: not an IDX file: it should start with two zero bytes")
    code, dimensions = magic[2], magic[3]
    if code not in TYPES:
        known = "unsigned bytes (type 0x08), or 16 or 32 bit integers (0x0b, 0x0c)"
        raise UserError(f"{path}: values should be {known}, not 0x{code:02x}")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise UserError(f"{path}: should have 1 to {MAX_DIMENSIONS} dimensions, not {dimensions}")
    header = _read_exactly(stream, 4 * dimensions, path, "dimensions")
    shape = struct.unpack(f">{dimensions}I", header)
    if 0 in shape:
        raise UserError(f"{path}: is empty: its dimensions are {shape}")
    return TYPES[code], shape


def _read_exactly(stream: IO[bytes], count: int, path: Path, what: str) -> bytearray:
    # In pieces: a false header can announce more bytes than fit into memory; the file has fewer.
    data = bytearray()
    while len(data) < count:
        piece = stream.read(min(count - len(data), PIECE))
        if not piece:
            raise UserError(f"{path}: ends too early, within its {what}")
        data += piece
    return data


def write_idx(path: Path, array: Array) -> None:
    """Write uint8, int16 or int32 values of 1 to 4 dimensions as a gzipped IDX file.

    Equal arrays give equal bytes. Stored, not deflated: builds of zlib compress to different
    bytes, and these are compared.
    """
    write_pieces(path, array.dtype, array.shape, [array])


def write_pieces(
    path: Path, kind: np.dtype[Any], shape: tuple[int, ...], pieces: Iterable[Array]
) -> None:
    """`write_idx` for an array of this kind and shape that comes in pieces of its rows."""
    stored = kind.newbyteorder(">")
    assert stored in CODES
    assert 1 <= len(shape) <= MAX_DIMENSIONS
    header = struct.pack(f">BBBB{len(shape)}I", 0, 0, CODES[stored], len(shape), *shape)
    with (
        written_whole(path) as partial,
        partial.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=0, fileobj=raw, mtime=0) as stream,
    ):
        stream.write(header)
        rows = 0
        for piece in pieces:
            rows += len(piece)
            stream.write(np.ascontiguousarray(piece, stored).tobytes())
        assert rows == shape[0]
