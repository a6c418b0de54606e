import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from src.core.errors import UserError
from src.core.runtime import LARGEST_BLOCK, generator
from src.data.catalogue import DIGITS
from src.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, Bytes, write_idx
from src.data.imageset import draw_per_class, load_images, save_images
from src.data.splits import Splits, read_splits
from tests.memory import anonymous


def write_set(folder: Path, **arrays: Bytes) -> Path:
    """Eight images of 2 classes, 4x5, with the arrays given instead."""
    random = np.random.default_rng(0)
    given: dict[str, Bytes] = {
        TRAIN_IMAGES: random.integers(0, 256, (8, 4, 5), np.uint8),
        TRAIN_LABELS: np.array([0, 1] * 4, np.uint8),
        TEST_IMAGES: random.integers(0, 256, (2, 4, 5), np.uint8),
        TEST_LABELS: np.array([0, 1], np.uint8),
    }
    names = {"images": TRAIN_IMAGES, "labels": TRAIN_LABELS, "test_images": TEST_IMAGES}
    given |= {names[key]: array for key, array in arrays.items()}
    for name, array in given.items():
        write_idx(folder / name, array)
    return folder


def read(folder: Path) -> Splits:
    return read_splits(folder, ("a", "b"), lambda images: images // 4, generator(0, "split"))


def test_validation_takes_its_share_of_every_class(mnist_5k: Splits) -> None:
    assert mnist_5k.train.labels.bincount().tolist() == [360] * 10
    assert mnist_5k.val.labels.bincount().tolist() == [40] * 10
    assert len(mnist_5k.test) == 1000


def test_no_image_is_lost_or_in_two_splits(tmp_path: Path) -> None:
    images = np.arange(8 * 20, dtype=np.uint8).reshape(8, 4, 5)
    splits = read(write_set(tmp_path, images=images))
    first = sorted([*splits.train.images[:, 0, 0, 0], *splits.val.images[:, 0, 0, 0]])
    assert [int(value) for value in first] == images[:, 0, 0].tolist()


def test_images_take_no_memory(tmp_path: Path) -> None:
    """However many: they are mapped from files, and were read piece by piece.

    They are more than LARGEST_BLOCK: of smaller ones, the process may have kept the memory.
    """
    assert LARGEST_BLOCK < 40 * 1000 * 1000
    images = np.random.default_rng(0).integers(0, 256, (40, 1000, 1000), np.uint8)
    labels = np.array([0, 1] * 20, np.uint8)
    write_set(tmp_path / "raw", images=images, labels=labels, test_images=images[:2])
    before = anonymous()
    tracemalloc.start()
    splits = read(tmp_path / "raw")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < images.nbytes / 2
    save_images(tmp_path / "train", splits.train)
    loaded = load_images(tmp_path / "train")
    assert int(loaded.images.max()) == 255
    assert anonymous() - before < images.nbytes / 2
    assert {path.name for path in (tmp_path / "raw").iterdir()} == {
        *(TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
    }
    again = torch.from_numpy(images)[:, None]
    assert torch.equal(torch.cat([splits.train.images, splits.val.images]).sum(0), again.sum(0))


def split(raw: Path, seed: int) -> Splits:
    return read_splits(
        raw / "mnist-5k", DIGITS, lambda images: images // 10, generator(seed, "split")
    )


def test_the_split_is_drawn_from_the_seed(raw: Path, mnist_5k: Splits) -> None:
    again = split(raw, 0)
    other = split(raw, 1)
    assert torch.equal(again.val.images, mnist_5k.val.images)
    assert not torch.equal(other.val.images, mnist_5k.val.images)


def test_statistics_are_of_the_training_split_alone(mnist_5k: Splits) -> None:
    pixels = mnist_5k.train.images.double()
    for split in mnist_5k:
        assert split.mean == pytest.approx([pixels.mean().item()], rel=1e-12)
        assert split.std == pytest.approx([pixels.std(correction=0).item()], rel=1e-9)


def test_channels_come_first_and_have_statistics_each(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (8, 4, 5, 3), np.uint8)
    train = read(write_set(tmp_path, images=colour, test_images=colour[:2])).train
    assert train.image_shape == (3, 4, 5)
    expected = train.images.double().mean((0, 2, 3)).tolist()
    assert train.mean == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": np.zeros(7, np.uint8)}, "7 labels, but 8 images"),
        ({"labels": np.full(8, 2, np.uint8)}, "labels should be 0 to 1, not 2"),
        ({"labels": np.zeros((8, 1), np.uint8)}, "labels should have 1 dimension, not 2"),
        ({"images": np.zeros((8, 20), np.uint8)}, "should have 3 dimensions"),
        ({"test_images": np.zeros((2, 5, 5), np.uint8)}, "images are 1x5x5, but .* are 1x4x5"),
        ({"images": np.full((8, 4, 5), 7, np.uint8)}, "all pixels of a channel are equal"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_a_data_set_is_refused(
    tmp_path: Path, arrays: dict[str, Bytes], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read(write_set(tmp_path, **arrays))


@pytest.mark.parametrize("val_images", [0, 4])
def test_a_split_without_images_is_refused(tmp_path: Path, val_images: int) -> None:
    folder = write_set(tmp_path)
    with pytest.raises(UserError, match=r"data\.val_fraction: should leave images"):
        read_splits(folder, ("a", "b"), lambda _: val_images, generator(0, "split"))


def test_draw_per_class_takes_as_many_as_asked_of_each() -> None:
    labels = torch.tensor([0] * 10 + [1] * 3)
    drawn = draw_per_class(labels, lambda count: min(count, 5), generator(0, "test"))
    assert labels[drawn].bincount().tolist() == [5, 3]
