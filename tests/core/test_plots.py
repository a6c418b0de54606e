"""Pictures with the names that people give to classes."""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from src.core.plots import blank, save_figure, shortened
from src.core.sheets import contact_sheet
from src.data.overview import draw_means, draw_samples
from src.data.splits import Splits
from src.evaluation.figures import confusion

ODD = {
    "dollars": ("US$", "A$", "$x^{$", r"50$\$", "$", r"$\frac$", "a_b", "{", "<b>", "&amp;"),
    "Chinese": ("猫", "狗", "鸟", "鱼", "马", "牛", "羊", "鸡", "鸭", "鹅"),
    "long": tuple(f"{'a very long name of a class':*<39}{digit}" for digit in range(10)),
    "many": tuple(f"class {number}" for number in range(62)),
}


def written(figure: Figure, path: Path) -> str:
    save_figure(figure, path)
    return path.read_text("utf-8")


def texts(svg: str) -> list[str]:
    """What a browser shows as text."""
    found = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314
    return ["".join(each.itertext()).strip() for each in found]


@pytest.mark.parametrize("names", ODD.values(), ids=ODD.keys())
def test_classes_may_have_any_name(tmp_path: Path, few: Splits, names: tuple[str, ...]) -> None:
    data = replace(few.train, classes=names)
    shown = shortened(names)
    figures = (
        draw_samples(data),
        draw_means(data),
        confusion("model on target", np.eye(len(names), dtype=int), names),
    )
    for number, figure in enumerate(figures):
        svg = written(figure, tmp_path / f"{number}.svg")
        drawn = "".join(texts(svg)).replace(" ", "")
        for name in shown[:50]:
            assert name.replace(" ", "").rstrip("…") in drawn
        width, height = (float(side) for side in re.findall(r'(?:width|height)="([0-9.]+)pt"', svg))
        assert max(width, height) < 3000


def test_long_names_are_shortened() -> None:
    assert shortened(["US$", "数字", "x" * 40]) == ["US$", "数字", f"{'x' * 20}…"]


def test_dollars_are_no_formula_and_powers_of_ten_are(tmp_path: Path) -> None:
    figure = blank(3, 2, "formulas")
    axes = figure.subplots()
    axes.plot([1, 2], [1e-5, 1], label="US$ A$")
    axes.set(title="$US A$", yscale="log")
    axes.legend()
    shown = texts(written(figure, tmp_path / "picture.svg"))
    assert {"US$ A$", "$US A$"} <= {*shown}
    assert not any("mathdefault" in text for text in shown)


def test_equal_pictures_have_equal_bytes_and_say_what_they_show(tmp_path: Path) -> None:
    def picture() -> Figure:
        figure = blank(3, 2, "a <line> & more")
        figure.subplots().plot([1, 2])
        return figure

    first, second = (written(picture(), tmp_path / folder / "a.svg") for folder in ("1", "2"))
    assert first == second
    assert re.search(r"<title>(.*)</title>", first)[1] == "a &lt;line&gt; &amp; more"  # type: ignore[index]


def test_a_persons_matplotlibrc_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picture() -> str:
        figure = blank(3, 2, "a line")
        figure.subplots().plot([1, 2])
        return written(figure, tmp_path / "a.svg")

    usual = picture()
    with rc_context({"lines.linewidth": 9, "font.family": "serif", "axes.facecolor": "red"}):
        assert picture() == usual


def raster(figure: Figure, path: Path) -> np.ndarray:
    """The image in a contact sheet, [height, width, 3]."""
    found = re.search(r"base64,([^\"]*)\"", written(figure, path))
    assert found
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(1, 1, 1), (8, 8, 1), (9, 5, 2), (17, 6, 3), (24, 8, 3)]
)
def test_a_sheet_has_rows_of_equal_length(
    tmp_path: Path, count: int, columns: int, rows: int
) -> None:
    images = torch.zeros(count, 1, 28, 28, dtype=torch.uint8)
    drawn = raster(contact_sheet(images, [], "sheet"), tmp_path / "sheet.svg")
    gap = 2
    assert drawn.shape[:2] == (rows * (28 + gap) + gap, columns * (28 + gap) + gap)


def test_colour_stays_and_all_else_is_ink_on_paper(tmp_path: Path) -> None:
    def middle(pixel: Sequence[int]) -> list[int]:
        images = torch.tensor(pixel, dtype=torch.uint8).view(1, -1, 1, 1).expand(1, -1, 28, 28)
        found: list[int] = raster(contact_sheet(images, [], ""), tmp_path / "s.svg")[
            15, 15
        ].tolist()
        return found

    assert middle([200, 0, 50]) == [200, 0, 50]
    assert middle([200]) == [55, 55, 55]
    assert middle([255, 0]) == [127, 127, 127]  # two channels: their mean


def test_a_sheet_without_images_has_its_title(tmp_path: Path) -> None:
    images = torch.zeros(0, 1, 28, 28, dtype=torch.uint8)
    svg = written(contact_sheet(images, [], "no mistakes of 100"), tmp_path / "sheet.svg")
    assert texts(svg) == ["no mistakes of 100"]
