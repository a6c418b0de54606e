"""The IDX format of the MNIST family: read it, rejecting every malformed file, and write it.

A file is two zero bytes, a type code (8: unsigned byte), the number of dimensions, each
dimension as a big-endian uint32, then the values. Here it is always gzipped, as published.
Source: the MNIST database, LeCun, Cortes and Burges, "the IDX file format".
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from src.errors import UserError
from src.files import written_whole

# The four files of a data set, as MNIST names them.
TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"

UNSIGNED_BYTE = 0x08
MAX_DIMENSIONS = 4  # images, height, width, and channels of the colour variants

Bytes = npt.NDArray[np.uint8]


def read_idx(path: Path) -> Bytes:
    """The array in a gzipped IDX file: uint8, of the shape that its header states.

    Raises UserError, naming the file, for anything but a header followed by exactly its values.
    """
    try:
        with gzip.open(path) as stream:
            return _parse(stream, path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found") from None
    except EOFError:
        raise UserError(f"{path}: the gzip stream ends too early; fetch the file again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: not an intact gzip file ({error})") from None


def _parse(stream: gzip.GzipFile, path: Path) -> Bytes:
    magic = _read_exactly(stream, 4, path, "magic number")
    if magic[:2] != b"\0\0":
        raise UserError(f"{path}: not an IDX file: it should start with two zero bytes")
    kind, dimensions = magic[2], magic[3]
    if kind != UNSIGNED_BYTE:
        raise UserError(f"{path}: values should be unsigned bytes (type 0x08), not 0x{kind:02x}")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise UserError(f"{path}: should have 1 to {MAX_DIMENSIONS} dimensions, not {dimensions}")
    header = _read_exactly(stream, 4 * dimensions, path, "dimensions")
    shape = struct.unpack(f">{dimensions}I", header)
    if 0 in shape:
        raise UserError(f"{path}: holds nothing: its dimensions are {shape}")
    values = _read_exactly(stream, math.prod(shape), path, f"values of shape {shape}")
    # Reading on also makes gzip verify its checksum.
    if stream.read(1):
        raise UserError(f"{path}: goes on after the values that its header {shape} announces")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _read_exactly(stream: gzip.GzipFile, count: int, path: Path, what: str) -> bytearray:
    # Piece by piece: a false header can announce more than the memory holds, a stream cannot.
    data = bytearray()
    while len(data) < count:
        piece = stream.read(min(count - len(data), 1 << 24))
        if not piece:
            raise UserError(f"{path}: ends too early: {len(data)} of {count} bytes of its {what}")
        data += piece
    return data


def write_idx(path: Path, array: Bytes) -> None:
    """Write uint8 values of 1 to 4 dimensions as a gzipped IDX file, with the same bytes each time.

    Stored, not deflated: builds of zlib compress to different bytes, and these are compared.
    """
    assert array.dtype == np.uint8
    assert 1 <= array.ndim <= MAX_DIMENSIONS
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, UNSIGNED_BYTE, array.ndim, *array.shape)
    with (
        written_whole(path) as partial,
        partial.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=0, fileobj=raw, mtime=0) as stream,
    ):
        stream.write(header)
        stream.write(np.ascontiguousarray(array).tobytes())
