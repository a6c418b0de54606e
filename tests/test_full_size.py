"""The official MNIST and Fashion-MNIST files, where there are any."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from src.core.runtime import generator
from src.data.catalogue import DIGITS
from src.data.idx import TEST_IMAGES, read_idx
from src.data.sources import obtain
from src.data.splits import Splits, read_splits
from src.inference.served import Typical
from src.models.scoring import score
from src.training.scratch import train_from_scratch
from tests.conftest import shrunk

MIRROR = os.environ.get("DATA_MIRROR")  # read before the tests' surroundings take it away
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not MIRROR, reason="DATA_MIRROR does not name the official MNIST files"),
]


def obtained(name: str, folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_MIRROR", str(MIRROR))
        obtain(name, folder / name, folder / "downloads")
    return folder / name


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    folder = obtained("mnist", tmp_path_factory.mktemp("mnist"))
    return read_splits(folder, DIGITS, lambda images: images // 6, generator(0, "split"))


def test_one_epoch_on_60000_images_reads_10000_well(mnist: Splits) -> None:
    assert [len(split) for split in mnist] == [50_004, 9_996, 10_000]
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.test.labels.bincount().tolist() == counts
    torch.set_num_threads(2)
    params = shrunk(train__epochs=1, train__batch_size=128, model__channels=[16, 32])
    model = train_from_scratch(params.model, params.train, mnist.train, mnist.val, 0)
    assert score(model.checkpoint.model, mnist.test).accuracy > 0.97


def test_clothes_are_unlike_digits_and_digits_are_not(mnist: Splits, tmp_path: Path) -> None:
    typical = Typical.of([mnist.train.images])
    furthest = typical.furthest(mnist.val.images)

    def unlike(images: Tensor) -> float:
        return float((typical.distances(images) > furthest).double().mean())

    clothes = read_idx(obtained("fashion-mnist", tmp_path) / TEST_IMAGES)
    assert unlike(mnist.test.images) <= 0.05
    assert unlike(torch.from_numpy(clothes)[:, None]) >= 0.9
