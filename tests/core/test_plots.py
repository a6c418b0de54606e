"""Pictures with the names that people give to classes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from src.core.plots import legible, save_figure
from src.data.overview import draw_means, draw_samples
from src.data.splits import Splits
from src.evaluation.figures import confusion, images

ODD = {
    "dollars": ("US$", "A$", "$x^{$", r"50$\$", "$", r"$\frac$", "a_b", "{", "<b>", "&amp;"),
    "Chinese": ("猫", "狗", "鸟", "鱼", "马", "牛", "羊", "鸡", "鸭", "鹅"),
    "long": tuple(f"{'a very long name of a class':*<39}{digit}" for digit in range(10)),
    "many": tuple(f"class {number}" for number in range(62)),
}


@pytest.mark.parametrize("names", ODD.values(), ids=ODD.keys())
def test_classes_may_have_any_name(tmp_path: Path, few: Splits, names: tuple[str, ...]) -> None:
    data = replace(few.train, classes=names)
    shown = legible(names)
    captions = [f"{name} → {shown[0]}  0.50" for name in shown]
    counts = np.eye(len(names), dtype=int)
    for number, figure in enumerate(
        (
            draw_samples(data),
            draw_means(data),
            confusion({"model on target": (counts, names)}),
            images(data.images[: len(captions)], captions, "mistakes"),
        )
    ):
        save_figure(figure, tmp_path / f"{number}.png")
        height, width, _ = imread(tmp_path / f"{number}.png").shape
        assert max(height, width) < 4000


def test_a_name_is_shown_as_it_is_or_cut_or_as_its_number() -> None:
    names = ["US$", "T-shirt/top", "é", "x" * 40, "数字"]
    assert legible(names) == ["US$", "T-shirt/top", "é", f"{'x' * 20}…", "4"]


def test_dollars_are_no_formula_and_powers_of_ten_are(tmp_path: Path) -> None:
    pictures = []
    for title in ("US$ A$", "$US A$"):
        figure = Figure()
        axes = figure.subplots()
        axes.plot([1, 2], [1e-5, 1], label=title)
        axes.set(title=title, yscale="log")
        axes.legend()
        save_figure(figure, tmp_path / "picture.png")
        pictures.append((tmp_path / "picture.png").read_bytes())
        assert all(label.get_parse_math() for label in axes.yaxis.get_majorticklabels())
    assert pictures[0] != pictures[1]  # as formulas, both would be the same letters
