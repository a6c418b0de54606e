"""Studies in temporary journals, and workers on few digits."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from src.config.parsing import read
from src.config.values import with_values
from src.core import paths
from src.data.imageset import save_images
from src.data.splits import Splits
from src.execution.pool import Pool
from src.tune.space import Space
from src.tune.storage import begin_study, open_storage
from src.tune.study import Study
from tests.conftest import PARAMS, shrunk

SPACE: dict[str, Any] = {
    "train.optimizer.learning_rate": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
    "train.batch_size": {"type": "int", "low": 8, "high": 64, "log": True},
    "model.kernel_sizes": {"type": "per_layer", "choices": [3, 5, 7]},
}
BeginStudy = Callable[..., Study]


@pytest.fixture
def begin(tmp_path: Path) -> BeginStudy:
    """Create a study, or open it as another process would: `begin(sampler="random", seed=3)`."""

    def opened(
        name: str = "study",
        seed: int | None = None,
        url: str | None = None,
        space: dict[str, Any] = SPACE,
        values: dict[str, Any] | None = None,
        **tune: Any,
    ) -> Study:
        tree = with_values(read(PARAMS), values or {})
        tree["tune"] |= {**tune, "space": space}
        found = Space(tree)
        lock = FileLock(tmp_path / "optuna.lock")
        storage = open_storage(url, tmp_path / "optuna.log", lock)
        begun = begin_study(storage, name, seed, {"params": found.constant()}, lock)
        return Study(begun, storage, found, lock)

    return opened


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
