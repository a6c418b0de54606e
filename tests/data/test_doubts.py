"""Data that are well formed and surely not meant."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from src.core.runtime import generator
from src.data.catalogue import DIGITS
from src.data.doubts import TURNS, doubts
from src.data.imageset import ImageSet
from src.data.overview import duplicates, overview
from src.data.splits import Splits, read_splits
from tests.conftest import shrunk


@pytest.fixture(scope="module")
def optdigits(raw: Path) -> Splits:
    return read_splits(
        raw / "optdigits", DIGITS, shrunk().data.val_images, generator(0, "split"), (1, 28, 28)
    )


def doubted(source: Splits, target: Splits) -> list[str]:
    roles = {"source": source, "target": target}
    return doubts(roles, {"source": "a", "target": "b"}, duplicates(roles))["warning"].tolist()


def with_images(splits: Splits, change: Callable[[ImageSet], ImageSet]) -> Splits:
    return Splits(*(change(data) for data in splits))


def test_the_embedded_data_sets_are_beyond_doubt(mnist_5k: Splits, optdigits: Splits) -> None:
    assert doubted(mnist_5k, optdigits) == doubted(optdigits, mnist_5k) == []


def test_inverted_images_are_doubted(mnist_5k: Splits, optdigits: Splits) -> None:
    inverted = with_images(optdigits, lambda data: replace(data, images=255 - data.images))
    light, pair = doubted(mnist_5k, inverted)
    assert light.startswith("data.target (b): the images look dark on light")
    assert "look like those of data.source if they are inverted, and" in pair
    assert pair.endswith("correct the files: 255 - images")


@pytest.mark.parametrize("how", [*TURNS][1:])
def test_turned_images_are_doubted_and_the_cure_is_right(
    mnist_5k: Splits, optdigits: Splits, how: str
) -> None:
    turn, _ = TURNS[how]
    turned = with_images(
        optdigits, lambda data: replace(data, images=turn(data.images).contiguous())
    )
    [sentence] = doubted(mnist_5k, turned)
    cure = sentence.partition("correct the files: ")[2]
    images = turned.train.images[:, 0].numpy()
    cured = eval(cure, {"images": images, "rot90": np.rot90})  # noqa: S307  # of our own making
    assert np.array_equal(cured, optdigits.train.images[:, 0].numpy())


def test_other_alphabets_and_small_sets_are_not_compared(few: Splits) -> None:
    turned = with_images(few, lambda data: replace(data, images=data.images.mT.contiguous()))
    letters = with_images(turned, lambda data: replace(data, classes=tuple("abcdefghij")))
    small = turned._replace(train=turned.train.subset(torch.arange(99)))
    assert doubted(few, letters) == doubted(few, small) == []


def test_test_images_that_train_are_doubted(few: Splits) -> None:
    seen = few._replace(test=few.train.subset(torch.arange(60)))
    assert any("60 of 60 test images are training" in each for each in doubted(seen, few))


def test_a_class_without_an_image_and_bytes_of_0_and_1_are_doubted(few: Splits) -> None:
    more = with_images(
        few,
        lambda data: replace(data, images=data.images // 128, classes=(*data.classes, "ten")),
    )
    assert doubted(few, more) == [
        "data.target (b): class ten has no image; take it out of classes.txt, or add some",
        "data.target (b): no pixel is above 1 of 255; "
        "scale the images by 255 if they are on the scale 0 to 1",
    ]


def test_a_doubt_is_counted_and_shown(few: Splits) -> None:
    dark = with_images(few, lambda data: replace(data, images=255 - data.images))
    found = overview({"source": few, "target": dark}, {"source": "a", "target": "b"})
    assert (found.metrics["source_warnings"], found.metrics["target_warnings"]) == (0, 2)
    assert len(found.warnings) == len(found.tables["warnings.csv"]) == 2
