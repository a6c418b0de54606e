"""The layout of images, measured on shapes whose layout is known."""

from dataclasses import replace

import numpy as np
import pytest

from src.data.splits import Splits
from src.inference.layout import box_of, longer_side, measure, stroke_width


def bars(thick: int, *, tall: int = 20, high: int = 4, count: int = 20) -> np.ndarray:
    """Images uint8 [N, 1, 28, 28] with an upright bar `high` below the top, near the middle."""
    images = np.zeros((count, 1, 28, 28), np.uint8)
    left = (28 - thick) // 2
    images[:, 0, high : high + tall, left : left + thick] = 255
    return images


def sevens(count: int = 10) -> np.ndarray:
    """Bars with ever longer strokes on top: the box stays where it is, the mass moves."""
    images = bars(2, count=count)
    for number, image in enumerate(images):
        image[0, 4 : 7 + number, 8:20] = 255
    return images


def test_digits_of_mnist_are_strokes_of_20_pixels_about_their_mass(few: Splits) -> None:
    layout = measure(few.train.images.numpy())
    assert layout.strokes
    assert layout.by_mass
    assert layout.longer == 20
    assert layout.stroke == pytest.approx(0.13, abs=0.02)


@pytest.mark.parametrize("tall", [10, 16, 24])
def test_the_longer_side_is_that_of_the_box(tall: int) -> None:
    assert measure(bars(2, tall=tall)).longer == tall


def test_what_is_at_the_same_place_is_told_from_images_where_mass_and_box_differ() -> None:
    boxed = sevens()
    layout = measure(boxed)
    assert not layout.by_mass
    assert (layout.down, layout.across) == (13.5, 13.5)
    masses = (np.arange(28)[:, None] * boxed[:, 0]).sum((1, 2)) / boxed[:, 0].sum((1, 2))
    shifts = (12 - masses).round().astype(int)
    weighed = np.stack([np.roll(each, by, 1) for each, by in zip(boxed, shifts, strict=True)])
    layout = measure(weighed)
    assert layout.by_mass
    assert layout.down == pytest.approx(12, abs=0.5)


def test_filled_shapes_and_colour_have_no_strokes() -> None:
    shapes = np.zeros((20, 1, 28, 28), np.uint8)
    shapes[:, 0, 3:25, 3:25] = 200
    assert not measure(shapes).strokes
    assert not measure(np.repeat(bars(3), 3, axis=1)).strokes


@pytest.mark.parametrize("value", [0, 255])
def test_images_of_one_value_have_no_strokes(value: int) -> None:
    assert not measure(np.full((5, 1, 28, 20), value, np.uint8)).strokes


def test_dark_strokes_on_light_are_measured_as_if_light() -> None:
    dark, light = measure(bars(3)), measure(255 - bars(3))
    assert (dark.light, light.light) == (False, True)
    assert replace(light, light=False) == dark


def test_the_border_of_images_that_fill_their_frame_is_measured() -> None:
    images = np.full((20, 1, 28, 28), 90, np.uint8)
    images[:, :, 10:18, 10:18] = 255
    assert measure(bars(3)).border == 16
    assert measure(images).border == 90


@pytest.mark.parametrize("wide", [2, 3, 5, 9])
def test_the_width_of_a_line_is_found_whatever_its_direction(wide: int) -> None:
    down, across = np.mgrid[:60, :60]
    for off in (across - 30, down - 30, (across - down) / 2**0.5):
        line = 255 * np.clip((wide + 1) / 2 - np.abs(off), 0, 1)
        assert stroke_width(line.astype(np.uint8)) == pytest.approx(wide, rel=0.15)


def test_nothing_has_no_width() -> None:
    assert stroke_width(np.zeros((28, 28), np.uint8)) == 0


def test_a_box_holds_all_that_is_true_and_no_more() -> None:
    mask = np.zeros((10, 12), bool)
    mask[2, 3] = mask[7, 4] = True
    assert box_of(mask) == (slice(2, 8), slice(3, 5))
    assert longer_side(box_of(mask)) == 6
