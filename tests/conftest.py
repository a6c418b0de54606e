"""What the tests share: small parameters, and the real embedded digits."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from src.config.params import Params
from src.config.parsing import read
from src.core import paths
from src.core.cli import Workers
from src.core.runtime import generator
from src.data.catalogue import DIGITS
from src.data.checks import parse_params
from src.data.imageset import save_images
from src.data.sources import obtain
from src.data.splits import Splits, read_splits
from src.execution.executor import Executor
from src.execution.launch import launched

if TYPE_CHECKING:
    from tests.browser import Visitor
    from tests.clones import Clone
    from tests.postgres import Server

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "tests/params.yaml"
WORKPLACE = {name: paths.IMAGE_SETS[name] for name in ("source.train", "source.val")}


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the caller's DVC, tracking server or mirror; all compute with one thread."""
    for name in [*os.environ]:
        if name.startswith(("DVC_", "MLFLOW_")) or name == "DATA_MIRROR":
            monkeypatch.delenv(name)
    torch.set_num_threads(1)


def shrunk(**changes: Any) -> Params:
    """The tests' parameters; `train__epochs=2` changes a value."""
    tree = read(PARAMS)
    for key, value in changes.items():
        *sections, name = key.split("__")
        section = tree
        for part in sections:
            section = section[part]
        section[name] = value
    return parse_params(tree)


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded data sets as IDX files, in a folder each."""
    folder = tmp_path_factory.mktemp("raw")
    obtain("mnist-5k", folder / "mnist-5k", folder / "downloads")
    obtain("optdigits", folder / "optdigits", folder / "downloads")
    return folder


@pytest.fixture(scope="session")
def mnist_5k(raw: Path) -> Splits:
    return read_splits(raw / "mnist-5k", DIGITS, shrunk().data.val_images, generator(0, "split"))


@pytest.fixture(scope="session")
def few(mnist_5k: Splits) -> Splits:
    """The first 400 training, 100 validation and 100 test digits: the classes take turns."""
    return Splits(
        mnist_5k.train.subset(torch.arange(400)),
        mnist_5k.val.subset(torch.arange(100)),
        mnist_5k.test.subset(torch.arange(100)),
    )


@pytest.fixture(scope="session")
def model_in_use(few: Splits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that reads most digits, as it is used, and its exported file."""
    # Imported here, because they import this file, or take long.
    from src.inference.engines import exported
    from src.inference.exporting import export
    from tests.in_use import put_in_use, trained

    folder = tmp_path_factory.mktemp("in-use")
    put_in_use(folder, trained(few), few)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        export(paths.BASE_MODEL, exported(paths.BASE_MODEL))
    return folder


@pytest.fixture
def workplace(tmp_path: Path, few: Splits, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the only data that a sweep may read: training and validation."""
    save_images(tmp_path / paths.SOURCE_TENSORS / paths.TRAIN, few.train)
    save_images(tmp_path / paths.SOURCE_TENSORS / paths.VAL, few.val)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def executor(few: Splits, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """One worker with one thread, which the tests of a file share: it takes seconds to start."""
    folder = tmp_path_factory.mktemp("images")
    images = {name: folder / path.name for name, path in WORKPLACE.items()}
    for path, data in zip(images.values(), (few.train, few.val), strict=True):
        save_images(path, data)
    with launched(Workers(1), shrunk().runtime, images, check=lambda: None) as opened:
        yield opened


@pytest.fixture(scope="module")
def page() -> Iterator["Visitor"]:
    """A browser. It takes a second to open, so a file of tests shares it."""
    from tests.browser import visitor

    with visitor() as opened:
        yield opened


@pytest.fixture(scope="session")
def tracking_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database before the first run, which takes a second to create."""
    path = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    # Imported here, because few tests need it.
    from mlflow import MlflowClient

    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> "Clone":
    """A clone in which the pipeline has run, and its lock file has been committed."""
    # Imported here, because it imports this file.
    from tests.clones import STAGES, clone

    made = clone(tmp_path_factory.mktemp("finished"))
    assert made.stages_run("dvc", "repro") == STAGES
    assert made.call("git", "status", "--porcelain") == "?? dvc.lock\n"
    made.commit()
    return made


@pytest.fixture(scope="session")
def postgres() -> Iterator["Server"]:
    """A PostgreSQL server; tests make databases of their own in it."""
    from tests.postgres import served

    with served() as server:
        yield server
