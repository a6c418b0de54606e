"""No pickle is ever loaded: every file that is read may be one, and is refused by its name."""

import ast
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from src.config.parsing import read
from src.core import paths
from src.core.errors import UserError
from src.data.doubts import read_warnings
from src.data.folders import inspect, read_class_names
from src.data.idx import read_idx
from src.data.imageset import load_images
from src.evaluation.accuracy import learning_curves
from src.evaluation.comparison import contests
from src.execution.kept import Kept
from src.models.checkpoint import load_model
from src.tracking.store import close_abandoned_runs
from src.training.jobs import Scratch
from src.tune.storage import load_study, open_storage
from tests.conftest import ROOT, shrunk
from tests.custom import write_custom

# What must not appear in code: it loads pickles, or runs what it reads.
LOADERS = {
    *("pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"),
    *("torch.load", "numpy.load", "np.load", "pd.read_pickle", "yaml.load", "eval", "exec"),
}


class Bomb:
    """Unpickled, it creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return explode, (str(self.marker),)


def explode(marker: str) -> None:
    Path(marker).touch()


def pickled(marker: Path, path: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb(marker)))


def saved(marker: Path, path: Path) -> None:
    torch.save({"state": Bomb(marker)}, path)


def study(path: Path) -> None:
    lock = FileLock(path.with_name("lock"))
    load_study(open_storage(None, path, lock), "study")


def database_of_studies(path: Path) -> None:
    open_storage(f"sqlite:///{path}", path, FileLock(path.with_name("lock")))


def database_of_runs(path: Path) -> None:
    path.rename(paths.root() / paths.TRACKING)
    close_abandoned_runs()


def images_of_ones_own(path: Path) -> None:
    folder = write_custom(path.with_name("folder"))
    path.rename(folder / "train-images-idx3-ubyte.gz")
    inspect(folder)


def predictions(path: Path) -> None:
    pipeline = {"predictions_base_source.csv": path}
    contests({"A": pipeline, "B": pipeline}, "source")


CONSUMERS: dict[str, Callable[[Path], object]] = {
    "an IDX file": read_idx,
    "an IDX file of one's own": images_of_ones_own,
    "class names": read_class_names,
    "tensors": load_images,
    "a model": lambda path: load_model(path, torch.device("cpu")),
    "params.yaml": read,
    "studies": study,
    "a database of studies": database_of_studies,
    "a database of runs": database_of_runs,
    "a table of epochs": lambda path: learning_curves({"train": path}),
    "a table of warnings": read_warnings,
    "tables of predictions": predictions,
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("consume", CONSUMERS.values(), ids=CONSUMERS.keys())
@pytest.mark.parametrize("make", [pickled, saved])
def test_a_pickle_is_refused_by_name_and_not_loaded(
    place: Path, make: Callable[[Path, Path], None], consume: Callable[[Path], object]
) -> None:
    make(place / "exploded", place / "bomb")
    with pytest.raises(UserError, match=r"bomb|train-images|mlflow\.db") as refusal:
        consume(place / "bomb")
    assert "\n" not in str(refusal.value)
    assert not (place / "exploded").exists()


def test_the_bomb_is_one(place: Path) -> None:
    pickled(place / "exploded", place / "bomb")
    pickle.loads((place / "bomb").read_bytes())  # noqa: S301
    assert (place / "exploded").exists()


@pytest.mark.parametrize("make", [pickled, saved])
def test_a_pickle_in_place_of_a_kept_result_is_trained_again(
    place: Path, make: Callable[[Path, Path], None]
) -> None:
    params = shrunk()
    job = Scratch(train=params.train, seed=0, model=params.model)
    kept = Kept(place, {})
    kept.put(job, b"")
    [path] = [each for each in place.iterdir() if each.is_file()]
    make(place / "exploded", path)
    assert kept.get(job) is None
    assert not (place / "exploded").exists()


def test_no_code_loads_a_pickle() -> None:
    for path in (*ROOT.glob("src/**/*.py"), *ROOT.glob("pipeline/*.py")):
        tree = ast.parse(path.read_text())
        named = {
            *(ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)),
            *(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)),
            *(
                alias.name
                for node in ast.walk(tree)
                if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names
            ),
            *(
                f"{node.module}.{alias.name}"
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
            ),
        }
        assert not named & LOADERS, path
