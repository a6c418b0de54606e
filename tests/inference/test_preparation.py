"""Digits in pictures as people have them come out as they were: no model plays a part."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from src.data.splits import Splits
from src.inference.layout import Layout, measure
from src.inference.preparation import Prepared, prepare
from src.inference.usage import Usage
from tests.photos import TUNING, photos

DIGITS = 12
ALIKE = 0.7  # correlation of pixels, above which a digit has come out as it was
SHAPES = Layout(False, 16, False, 0, False, 0.0, 0.0, 0.0)
INK, PAPER = (45, 50, 80), (232, 230, 224)


@pytest.fixture(scope="module")
def usage(mnist_5k: Splits) -> Usage:
    layout = measure(mnist_5k.val.images.numpy())
    return Usage("", mnist_5k.val.classes, mnist_5k.val.image_shape, layout=layout)


@pytest.fixture(scope="module")
def digits(mnist_5k: Splits) -> np.ndarray:
    """uint8 [DIGITS, 28, 28]."""
    images: np.ndarray = mnist_5k.test.images[:DIGITS, 0].numpy()
    return images


def cover(digit: np.ndarray, tall: int) -> np.ndarray:
    """Where the pen was, 0 to 1, in the box of the digit alone, its longer side `tall` pixels."""
    rows, columns = np.nonzero(digit > 60)
    box = Image.fromarray(digit[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
    factor = tall / max(box.size)
    size = (round(box.width * factor), round(box.height * factor))
    large = np.asarray(box.resize(size, Image.Resampling.BICUBIC), float) / 255
    return np.clip((large - 0.5) / 0.15 + 0.5, 0, 1)


def on_sheet(
    digit: np.ndarray, tall: int = 120, side: int = 260, at: tuple[int, int] = (90, 60)
) -> np.ndarray:
    """The same on a square sheet, [side, side]."""
    pen, sheet = cover(digit, tall), np.zeros((side, side))
    sheet[at[0] : at[0] + pen.shape[0], at[1] : at[1] + pen.shape[1]] = pen
    return sheet


def painted(
    pen: np.ndarray, ink: tuple[int, int, int] = INK, paper: tuple[int, int, int] = PAPER
) -> np.ndarray:
    grain = np.random.default_rng(0).normal(0, 3, (*pen.shape, 3))
    mixed = pen[..., None] * ink + (1 - pen[..., None]) * paper + grain
    picture: np.ndarray = np.clip(mixed, 0, 255).astype(np.uint8)
    return picture


def chalk(digit: np.ndarray) -> np.ndarray:
    return painted(on_sheet(digit) * 0.8, (240, 240, 230), (45, 75, 60))


def faint(digit: np.ndarray) -> np.ndarray:
    return painted(on_sheet(digit), (195, 193, 188))


def red_on_yellow(digit: np.ndarray) -> np.ndarray:
    return painted(on_sheet(digit), (190, 40, 40), (245, 225, 90))


def transparent(digit: np.ndarray) -> np.ndarray:
    opacity = (255 * on_sheet(digit))[..., None]
    return np.concatenate([np.zeros((260, 260, 3)), opacity], 2).astype(np.uint8)


def white_and_transparent(digit: np.ndarray) -> np.ndarray:
    picture = transparent(digit)
    picture[..., :3] = 255
    return picture


def drawn(digit: np.ndarray) -> np.ndarray:
    """As with a paint program: two tones, no grain."""
    return (255 * (on_sheet(digit) < 0.5)).astype(np.uint8)


def small(digit: np.ndarray) -> np.ndarray:
    return 255 - digit


def tightly_cropped(digit: np.ndarray) -> np.ndarray:
    return painted(cover(digit, 150))


def at_the_edge(digit: np.ndarray) -> np.ndarray:
    return painted(on_sheet(digit, at=(0, 60)))


def ruled(pen: np.ndarray, strength: float) -> np.ndarray:
    lines = np.zeros_like(pen)
    lines[[*range(20, 260, 45), *range(21, 260, 45)]] = strength
    both: np.ndarray = np.maximum(pen, lines)
    return both


def on_ruled_paper(digit: np.ndarray) -> np.ndarray:
    return painted(ruled(on_sheet(digit), 0.6))


def on_squared_paper(digit: np.ndarray) -> np.ndarray:
    return painted(ruled(ruled(on_sheet(digit), 0.6).T, 0.6).T)


def in_a_box(digit: np.ndarray) -> np.ndarray:
    pen = on_sheet(digit)
    pen[20:240, 20:240][[0, 1, 2, -3, -2, -1]] = 0.9
    pen[20:240, 20:240][:, [0, 1, 2, -3, -2, -1]] = 0.9
    return painted(pen)


def on_a_desk(digit: np.ndarray) -> np.ndarray:
    picture = painted(on_sheet(digit))
    picture[:, -45:] = picture[-30:] = (92, 62, 40)
    return picture


def half_in_shadow(digit: np.ndarray) -> np.ndarray:
    light = 1 - 0.45 / (1 + np.exp((np.arange(260) - 110) / 4))
    return (painted(on_sheet(digit)) * light[:, None]).astype(np.uint8)


def far_away(digit: np.ndarray) -> np.ndarray:
    """A photo of many pixels, of which the digit has few."""
    return painted(on_sheet(digit, tall=40, side=800, at=(500, 200)))


def small_on_squared_paper(digit: np.ndarray) -> np.ndarray:
    pen = on_sheet(digit, tall=80, side=780, at=(300, 200))
    pen[10::30] = pen[11::30] = np.maximum(pen[10::30], 0.6)
    pen[:, 7::30] = pen[:, 8::30] = np.maximum(pen[:, 7::30], 0.6)
    return painted(pen)


def speckled(digit: np.ndarray) -> np.ndarray:
    pen = on_sheet(digit)
    for down, across in np.random.default_rng(1).integers(0, 255, (12, 2)):
        pen[down : down + 3, across : across + 3] = 1
    return painted(pen)


PICTURES: list[Callable[[np.ndarray], np.ndarray]] = [
    *(chalk, faint, red_on_yellow, transparent, white_and_transparent, drawn, small),
    *(tightly_cropped, at_the_edge, on_ruled_paper, on_squared_paper, in_a_box, on_a_desk),
    *(half_in_shadow, far_away, small_on_squared_paper, speckled),
]


def likeness(prepared: Prepared, digit: np.ndarray) -> float:
    return float(np.corrcoef(prepared.pixels.flatten(), digit.flatten())[0, 1])


@pytest.mark.parametrize("picture", PICTURES)
def test_a_digit_comes_out_as_it_was(
    usage: Usage, digits: np.ndarray, picture: Callable[[np.ndarray], np.ndarray]
) -> None:
    prepared = [prepare(picture(digit), usage) for digit in digits]
    found = [likeness(each, digit) for each, digit in zip(prepared, digits, strict=True)]
    assert sum(each > ALIKE for each in found) >= 0.9 * DIGITS, sorted(found)
    # Lines, boxes and desks are not taken for more digits.
    assert sum(each.others == 0 for each in prepared) >= 0.9 * DIGITS


def test_photos_come_out_as_the_digits_that_were_photographed(
    usage: Usage, mnist_5k: Splits
) -> None:
    images = mnist_5k.test.images[:, 0].numpy()
    taken, _ = photos(images, np.arange(len(images)), 50, TUNING)
    order = np.random.default_rng(TUNING).permutation(len(images))
    found = [
        likeness(prepare(np.asarray(photo), usage), images[number])
        for photo, number in zip(taken, order, strict=False)
    ]
    assert sum(each > ALIKE for each in found) >= 0.85 * len(found), sorted(found)


def test_images_that_are_laid_out_already_stay_as_they_are(
    usage: Usage, digits: np.ndarray
) -> None:
    for digit in digits:
        prepared = prepare(digit, usage)
        assert (prepared.pixels == digit).all()
        assert [step.did for step in prepared.steps] == [
            "taken as it is: of the model's size already"
        ]
        # As a PNG in colour has it.
        assert (prepare(np.repeat(digit[..., None], 3, 2), usage).pixels == digit).all()


def plain(tone: int, *shape: int) -> np.ndarray:
    return np.full(shape, tone, np.uint8)


EMPTY = {
    "white": plain(255, 60, 40),
    "grey": plain(128, 60, 40),
    "black": plain(0, 60, 40),
    "one pixel": plain(7, 1, 1),
    "transparent": plain(0, 30, 30, 4),
    "empty sheet": np.random.default_rng(0).normal(220, 3, (300, 300)).astype(np.uint8),
    "gradient": np.linspace(0, 255, 200 * 200).reshape(200, 200).astype(np.uint8),
    "two halves": np.concatenate([plain(0, 50, 100), plain(200, 50, 100)]),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_picture_without_writing_comes_out_empty(usage: Usage, name: str) -> None:
    prepared = prepare(EMPTY[name], usage)
    assert not prepared.pixels.any()
    assert prepared.steps[-1].did == "no writing was found"


@pytest.mark.parametrize(
    "shape", [(1, 1000), (1000, 2), (2, 2), (3, 3, 3), (200, 200), (5, 300, 4)]
)
def test_any_size_and_any_noise_gets_through(usage: Usage, shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    prepared = prepare(noise, usage)
    assert prepared.pixels.shape == usage.image_shape
    assert prepared.pixels.dtype == np.uint8


def test_of_two_digits_in_a_picture_one_is_read_whole_and_the_other_is_told(
    usage: Usage, digits: np.ndarray
) -> None:
    pen = np.zeros((200, 500))
    for digit, across in ((digits[0], 20), (digits[1], 340)):
        drawn = cover(digit, 100)
        pen[50 : 50 + drawn.shape[0], across : across + drawn.shape[1]] = drawn
    prepared = prepare(painted(pen), usage)
    assert max(likeness(prepared, digit) for digit in digits[:2]) > ALIKE
    assert prepared.others == 1
    told = "writing cut out, without lines, specks and edges, and 1 other piece of writing"
    assert told in [step.did for step in prepared.steps]
    assert prepare(painted(on_sheet(digits[0])), usage).others == 0


SHAPES_OF_FRAMES = [(28, 20), (20, 28), (8, 8), (16, 16), (64, 64), (1, 1)]


@pytest.mark.parametrize("frame", SHAPES_OF_FRAMES)
@pytest.mark.parametrize("known", [True, False])
def test_a_digit_is_framed_for_any_size_of_model(
    digits: np.ndarray, frame: tuple[int, int], known: bool
) -> None:
    tall = Layout(False, 16, True, 24, False, frame[0] / 2, frame[1] / 2, 0.1)
    usage = Usage("", ("a",), (1, *frame), layout=tall if known else None)
    for picture in (painted(on_sheet(digits[0])), painted(np.rot90(on_sheet(digits[0])))):
        pixels = prepare(picture, usage).pixels
        assert pixels.shape == (1, *frame)
        assert pixels.max() > 200


def test_data_with_a_light_background_stay_light(digits: np.ndarray) -> None:
    layout = measure(255 - digits[:, None])
    assert layout.light
    assert layout.strokes
    usage = Usage("", ("a",), (1, 28, 28), layout=layout)
    assert (prepare(255 - digits[0], usage).pixels == 255 - digits[0]).all()
    for picture in (painted(on_sheet(digits[0])), chalk(digits[0])):
        found = Prepared(255 - prepare(picture, usage).pixels, ())
        assert likeness(found, digits[0]) > ALIKE


def test_shapes_are_inverted_only_if_their_background_is_another() -> None:
    shirt = plain(230, 28, 28)
    shirt[6:22, 6:22] = 90
    for light, around, within in ((False, 25, 165), (True, 230, 90)):
        usage = Usage("", ("shirt",), (1, 56, 56), layout=replace(SHAPES, light=light))
        pixels = prepare(shirt, usage).pixels[0]
        assert (pixels[0, 0], pixels[28, 28]) == (around, within)


def test_a_thin_pen_is_broadened(usage: Usage) -> None:
    pen = np.zeros((400, 400))
    pen[50:350, 200:203] = 1
    prepared = prepare(painted(pen), usage)
    broad = (prepared.pixels[0] > 128).sum(1)
    assert np.median(broad[broad > 0]) >= 2


def test_letters_of_another_layout_are_laid_out_as_theirs(digits: np.ndarray) -> None:
    wide = Layout(False, 16, True, 24, by_mass=False, down=15.5, across=15.5, stroke=0.1)
    usage = Usage("", ("a",), (1, 32, 32), layout=wide)
    rows, columns = np.nonzero(prepare(painted(on_sheet(digits[0])), usage).pixels[0] > 40)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(24, abs=1)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(15.5, abs=1)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(15.5, abs=1)


def test_shapes_are_scaled_and_put_on_black() -> None:
    usage = Usage("", ("shirt",), (1, 28, 28), layout=SHAPES)
    shirt = plain(230, 100, 50)
    shirt[20:80, 10:40] = 90
    pixels = prepare(shirt, usage).pixels[0]
    assert pixels[14, 14] == 255 - 90
    assert pixels[:, :7].max() == pixels[:, 21:].max() == 0


def test_colour_stays_for_a_model_of_colours() -> None:
    usage = Usage("", ("red",), (3, 32, 32), layout=SHAPES)
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 200
    assert (prepare(red, usage).pixels == np.array([200, 0, 0])[:, None, None]).all()
    assert (prepare(plain(90, 64, 64), usage).pixels == 90).all()
