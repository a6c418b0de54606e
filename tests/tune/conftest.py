"""Studies in temporary journals, and the workers of tests/execution."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from src.config.parsing import read
from src.config.values import with_values
from src.tune.space import Space
from src.tune.storage import begin_study, open_storage
from src.tune.study import Study
from tests.conftest import PARAMS
from tests.execution.conftest import pool as pool
from tests.execution.conftest import workplace as workplace

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
