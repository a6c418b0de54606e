"""The official MNIST files, where there are any."""

import os
from pathlib import Path

import pytest
import torch

from src.core.runtime import generator
from src.data.catalogue import DIGITS
from src.data.sources import obtain
from src.data.splits import read_splits
from src.models.scoring import score
from src.training.scratch import train_from_scratch
from tests.conftest import shrunk

MIRROR = os.environ.get("DATA_MIRROR")  # read before the tests' surroundings take it away


@pytest.mark.full
@pytest.mark.skipif(not MIRROR, reason="DATA_MIRROR does not name the official MNIST files")
def test_one_epoch_on_60000_images_reads_10000_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MIRROR
    monkeypatch.setenv("DATA_MIRROR", MIRROR)
    obtain("mnist", tmp_path / "mnist", tmp_path / "downloads")
    splits = read_splits(
        tmp_path / "mnist", DIGITS, lambda images: images // 6, generator(0, "split")
    )
    assert [len(split) for split in splits] == [50_004, 9_996, 10_000]
    assert splits.test.labels.bincount().tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    torch.set_num_threads(2)
    params = shrunk(train__epochs=1, train__batch_size=128, model__channels=[16, 32])
    model = train_from_scratch(params.model, params.train, splits.train, splits.val, 0)
    assert score(model.checkpoint.model, splits.test).accuracy > 0.97
