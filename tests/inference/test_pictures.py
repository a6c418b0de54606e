"""What is read from files, with the pixels that it should have."""

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.core.errors import UserError
from src.data.idx import write_idx
from src.inference.pictures import files, read_pictures

GREY = np.random.default_rng(0).integers(0, 256, (12, 20), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (12, 20, 3), np.uint8)
DARK = GREY // 2  # never above 127


def read(path: Path) -> np.ndarray:
    [picture] = read_pictures(path)
    assert (picture.file, picture.index) == (str(path), None)
    assert picture.pixels.dtype == np.uint8
    return picture.pixels


def packed(pixels: np.ndarray, format_: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format_, **options)
    return stream.getvalue()


@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize(
    ("format_", "options"),
    [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})],
    ids=["PNG", "BMP", "TIFF", "WebP"],
)
def test_lossless_pictures_have_their_pixels(
    tmp_path: Path, pixels: np.ndarray, format_: str, options: dict[str, Any]
) -> None:
    (tmp_path / "picture.bin").write_bytes(packed(pixels, format_, **options))
    found = read(tmp_path / "picture.bin")
    wanted = np.stack([pixels] * 3, axis=-1) if found.ndim > pixels.ndim else pixels
    assert np.array_equal(found, wanted)


def test_jpeg_is_near_its_pixels(tmp_path: Path) -> None:
    smooth = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    (tmp_path / "a.jpg").write_bytes(packed(smooth, "JPEG", quality=95))
    assert np.abs(read(tmp_path / "a.jpg").astype(int) - smooth).max() < 6


@pytest.mark.parametrize(
    "deep",
    [
        GREY.astype(np.uint16) * 257,
        DARK.astype(np.int32),
        (GREY / 255).astype(np.float32),
        DARK.astype(np.float32),
    ],
    ids=["16 bits", "whole numbers", "real ones to 1", "real ones to 255"],
)
def test_grey_on_other_scales_comes_to_8_bits(tmp_path: Path, deep: np.ndarray) -> None:
    Image.fromarray(deep).save(tmp_path / "a.tif")
    wanted = DARK if deep.max() in (DARK.max(), float(DARK.max())) else GREY
    assert np.abs(read(tmp_path / "a.tif").astype(int) - wanted).max() <= 1


def test_a_number_that_is_none_is_black(tmp_path: Path) -> None:
    Image.fromarray(np.array([[np.nan, 1.0]], np.float32)).save(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif").tolist() == [[0, 255]]


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(COLOUR).quantize(16)
    image.save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png"), np.asarray(image.convert("RGB")))


def test_transparency_is_kept(tmp_path: Path) -> None:
    pixels = np.dstack([COLOUR, GREY])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png"), pixels)


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1)), (8, np.rot90)],
)
def test_a_camera_that_was_turned_is_turned_back(
    tmp_path: Path, orientation: int, turned: Callable[[np.ndarray], np.ndarray]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read(tmp_path / "a.png"), turned(GREY))


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    first, second = Image.new("L", (4, 4), 0), Image.new("L", (4, 4), 255)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert not read(tmp_path / "a.gif").any()


@pytest.mark.parametrize("side", [10_001, 30_000], ids=["too large", "a bomb"])
def test_a_small_file_of_too_many_pixels_is_refused(tmp_path: Path, side: int) -> None:
    content = packed(GREY)
    header = b"IHDR" + struct.pack(">II", side, side) + content[24:29]
    checked = header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "a.png").write_bytes(content[:12] + checked + content[33:])
    with pytest.raises(UserError, match=r"a\.png: has .* pixels; at most 100000000 fit"):
        read(tmp_path / "a.png")


def test_no_damage_ends_in_anything_but_a_refusal(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    draw = np.random.default_rng(0)
    whole = [
        packed(COLOUR, "PNG"),
        packed(GREY, "BMP"),
        packed(GREY, "GIF"),
        packed(COLOUR, "JPEG", exif=exif),
        packed(COLOUR, "WEBP", exif=exif),
        packed(GREY.astype(np.uint16) * 257, "PNG"),
    ]
    for number in range(600):
        content = np.frombuffer(whole[number % len(whole)], np.uint8).copy()
        places = draw.integers(0, min(len(content), 200), draw.choice([1, 3, 20]))
        content[places] = draw.integers(0, 256, len(places))
        (tmp_path / "a.png").write_bytes(content[: draw.choice([len(content), 100])].tobytes())
        with suppress(UserError):
            read(tmp_path / "a.png")


def test_images_of_idx_files_have_their_place(tmp_path: Path) -> None:
    images = np.stack([GREY, GREY.T.reshape(GREY.shape)])
    write_idx(tmp_path / "images.idx.gz", images)
    found = [*read_pictures(tmp_path / "images.idx.gz")]
    assert [picture.index for picture in found] == [0, 1]
    assert np.array_equal(np.stack([picture.pixels for picture in found]), images)
    write_idx(tmp_path / "one.idx.gz", images[..., None])  # grey as a channel
    assert [picture.pixels.shape for picture in read_pictures(tmp_path / "one.idx.gz")] == [
        GREY.shape
    ] * 2


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.arange(5, dtype=np.uint8), r"should hold images, not values of shape \(5,\)"),
        (np.zeros((2, 3, 4, 2), np.uint8), "should hold images, not values of shape"),
        (np.zeros((2, 3, 4), np.int32), "values should be unsigned bytes, not int32"),
    ],
    ids=["labels", "two channels", "numbers"],
)
def test_idx_files_of_anything_else_are_refused(
    tmp_path: Path, array: np.ndarray, fault: str
) -> None:
    write_idx(tmp_path / "a.idx.gz", array)
    with pytest.raises(UserError, match=fault):
        [*read_pictures(tmp_path / "a.idx.gz")]


def test_a_folder_stands_for_the_pictures_in_it_but_not_for_labels(tmp_path: Path) -> None:
    names = ["b.PNG", "a/c.jpeg", "train-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz"]
    others = ["notes.txt", ".hidden.png", "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte.gz"]
    for name in names + others:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [*files([tmp_path])] == sorted(tmp_path / name for name in names)
    assert [*files([tmp_path / "notes.txt", tmp_path / "none"])] == [
        tmp_path / "notes.txt",
        tmp_path / "none",
    ]


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_large_pictures_are_reduced_and_look_the_same(tmp_path: Path, format_: str) -> None:
    large = np.zeros((2_250, 300), np.uint8)
    large[1_125:] = 200
    (tmp_path / "picture").write_bytes(packed(large, format_))
    [picture] = read_pictures(tmp_path / "picture")
    assert picture.pixels.shape[:2] == (1_125, 150)
    assert picture.pixels[:560].max() < 3
    assert abs(picture.pixels[565:].astype(int) - 200).max() < 3


def test_of_a_folder_what_is_hidden_and_labels_are_left_out(tmp_path: Path) -> None:
    for name in (
        ".git/a.png",
        "b/.c.png",
        "d-labels.png",
        "e/t10k-labels-idx1-ubyte.gz",
        "e/f.jpg",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in files([tmp_path])]
    assert found == ["d-labels.png", "e/f.jpg"]
