import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torchvision.datasets.mnist import read_image_file

from src.core.errors import UserError
from src.data import idx
from src.data.idx import Bytes, read_idx, read_pieces, read_shape, write_idx

IMAGES = arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, max_side=5))
files = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def content(array: Bytes) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def store(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data))
    return path


@given(array=IMAGES)
@files
def test_what_is_written_is_read(tmp_path: Path, array: Bytes) -> None:
    write_idx(tmp_path / "a.gz", array)
    assert np.array_equal(read_idx(tmp_path / "a.gz"), array)
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == content(array)


@given(array=IMAGES, most=st.integers(1, 100))
@files
def test_it_is_read_in_pieces(tmp_path: Path, array: Bytes, most: int) -> None:
    write_idx(tmp_path / "a.gz", array)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(idx, "PIECE", most)
        pieces = [*read_pieces(tmp_path / "a.gz")]
    assert all(piece.nbytes <= most or len(piece) == 1 for piece in pieces)
    assert np.array_equal(np.concatenate(pieces), array)


@given(array=IMAGES, data=st.data())
@files
def test_any_truncation_is_refused(tmp_path: Path, array: Bytes, data: st.DataObject) -> None:
    whole = content(array)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(UserError, match=r"a\.gz: "):
        read_idx(store(tmp_path / "a.gz", whole[:cut]))


@given(array=IMAGES, more=st.binary(min_size=1, max_size=9))
@files
def test_trailing_bytes_are_refused(tmp_path: Path, array: Bytes, more: bytes) -> None:
    with pytest.raises(UserError, match="has more bytes than its header"):
        read_idx(store(tmp_path / "a.gz", content(array) + more))


@given(array=IMAGES, data=st.data())
@files
def test_a_cut_or_damaged_gzip_stream_is_refused(
    tmp_path: Path, array: Bytes, data: st.DataObject
) -> None:
    whole = bytearray(gzip.compress(content(array), mtime=0))
    cut = data.draw(st.integers(1, len(whole) - 1))
    (tmp_path / "a.gz").write_bytes(whole[:cut])
    with pytest.raises(UserError, match="gzip"):
        read_idx(tmp_path / "a.gz")
    whole[-5] ^= 0xFF  # of the checksum
    (tmp_path / "a.gz").write_bytes(whole)
    with pytest.raises(UserError, match="not an intact gzip file"):
        read_idx(tmp_path / "a.gz")


@given(noise=st.binary(max_size=64))
@files
def test_no_bytes_end_in_anything_but_an_array_or_a_refusal(tmp_path: Path, noise: bytes) -> None:
    for path in (store(tmp_path / "a.gz", noise), store(tmp_path / "b.gz", b"\0\0\x08" + noise)):
        try:
            array = read_idx(path)
        except UserError:
            continue
        assert array.dtype == np.uint8


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "magic number"),
        (b"<html><body>404</body></html>", "should start with two zero bytes"),
        (struct.pack(">BBBBI", 0, 0, 0x0D, 1, 1) + bytes(4), "values should be unsigned bytes"),
        (struct.pack(">BBBB", 0, 0, 8, 0), "1 to 4 dimensions"),
        (struct.pack(">BBBB5I", 0, 0, 8, 5, 1, 1, 1, 1, 1) + bytes(1), "1 to 4 dimensions"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 0, 28, 28), "is empty"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 2**22, 28, 28) + bytes(9), "ends too early"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 28) + bytes(9), "announces"),
    ],
)
def test_malformed_headers_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_idx(store(tmp_path / "a.gz", data))


def test_a_file_that_is_not_idx_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_text("<html></html>")
    with pytest.raises(UserError, match="not an IDX file"):
        read_idx(tmp_path / "a.gz")
    with pytest.raises(UserError, match="not found"):
        read_idx(tmp_path / "b.gz")


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32])
def test_integers_of_each_kind_are_read_packed_or_not(tmp_path: Path, kind: Any) -> None:
    values = np.array([[0, 1], [np.iinfo(kind).max, np.iinfo(kind).min]], kind)
    write_idx(tmp_path / "a.gz", values)
    (tmp_path / "a").write_bytes(gzip.decompress((tmp_path / "a.gz").read_bytes()))
    for path in (tmp_path / "a.gz", tmp_path / "a"):
        assert read_idx(path).dtype == kind
        assert np.array_equal(read_idx(path), values)


def test_the_shape_of_images_is_in_their_header(tmp_path: Path) -> None:
    write_idx(tmp_path / "a.gz", np.zeros((3, 4, 5), np.uint8))
    assert read_shape(tmp_path / "a.gz") == (3, 4, 5)
    write_idx(tmp_path / "a.gz", np.zeros((3, 4, 5), np.int16))
    with pytest.raises(UserError, match=r"a\.gz: values should be unsigned bytes, not type 0x0b"):
        read_shape(tmp_path / "a.gz")


def test_torchvision_reads_the_same(raw: Path, tmp_path: Path) -> None:
    packed = raw / "mnist-5k" / "t10k-images-idx3-ubyte.gz"
    unpacked = tmp_path / "images"
    unpacked.write_bytes(gzip.decompress(packed.read_bytes()))
    assert torch.equal(read_image_file(str(unpacked)), torch.from_numpy(read_idx(packed).copy()))
