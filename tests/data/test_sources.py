"""Data sets that come with packages."""

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.data.catalogue import CATALOGUE
from src.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, read_idx
from src.data.sources import obtain
from src.tracking.provenance import locked, md5
from tests.conftest import ROOT

NAMES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


def test_embedded_sets_are_those_of_the_committed_lock(raw: Path, tmp_path: Path) -> None:
    for dataset in ("mnist-5k", "optdigits"):
        shutil.copytree(raw / dataset, tmp_path / dataset)
    [expected] = locked(ROOT / "dvc.lock")["download"]["outs"]
    assert md5(tmp_path) == expected["md5"]


@pytest.mark.parametrize("dataset", ["mnist-5k", "optdigits"])
def test_embedded_sets_are_as_announced_and_the_same_bytes_each_time(
    raw: Path, tmp_path: Path, dataset: Any
) -> None:
    obtain(dataset, tmp_path, tmp_path)
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (raw / dataset / name).read_bytes()
    facts = CATALOGUE[dataset].facts
    images, labels = read_idx(tmp_path / TRAIN_IMAGES), read_idx(tmp_path / TRAIN_LABELS)
    assert images.shape == (facts.train_images, facts.height, facts.width)
    assert len(np.unique(labels)) == len(facts.classes)


def test_embedded_sets_are_stratified(raw: Path) -> None:
    train = np.bincount(read_idx(raw / "mnist-5k" / TRAIN_LABELS))
    test = np.bincount(read_idx(raw / "mnist-5k" / TEST_LABELS))
    assert train.tolist() == [400] * 10
    assert test.tolist() == [100] * 10


def test_optdigits_are_framed_as_mnist_frames_digits(raw: Path) -> None:
    images = read_idx(raw / "optdigits" / TRAIN_IMAGES).astype(float)
    rows, columns = np.indices((28, 28))
    total = images.sum((1, 2))
    for axis in (rows, columns):
        centre = (images * axis).sum((1, 2)) / total
        assert np.abs(centre - 13.5).max() <= 0.51  # half a pixel, and rounding
    assert all(
        (image > 0).any(1).sum() <= 20 and (image > 0).any(0).sum() <= 20 for image in images
    )


def test_gzip_tools_read_the_embedded_files(raw: Path) -> None:
    assert len(gzip.decompress((raw / "mnist-5k" / TEST_IMAGES).read_bytes())) == 16 + 784_000
