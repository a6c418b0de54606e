"""Real workers, on few digits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from src.core import paths
from src.data.imageset import save_images
from src.data.splits import Splits
from src.execution.pool import Pool
from tests.conftest import shrunk


@pytest.fixture
def workplace(tmp_path: Path, few: Splits, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the only data that a sweep may read: training and validation."""
    save_images(tmp_path / paths.SOURCE_TENSORS / paths.TRAIN, few.train)
    save_images(tmp_path / paths.SOURCE_TENSORS / paths.VAL, few.val)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def pool(workplace: Path) -> Iterator[Pool]:
    """One worker with one thread."""
    with Pool(1, shrunk().runtime, check=lambda: None) as opened:
        yield opened
