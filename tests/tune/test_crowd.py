"""Many processes that start one study at the same time, with made-up losses."""

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from src.tune.storage import load_study, open_storage
from src.tune.study import SURPLUS
from tests.conftest import ROOT
from tests.postgres import Server

PROCESSES, WANTED = 8, 24
CODE = """
import sys, time
from pathlib import Path
from filelock import FileLock
from src.config.parsing import read
from src.tune.space import Space
from src.tune.storage import begin_study, open_storage
from src.tune.study import Study

folder, lock, url, wanted = sys.argv[1:]
tree = read(Path("tests/params.yaml"))
space, lock = Space(tree), FileLock(lock)
storage = open_storage(url or None, Path(folder) / "optuna.log", lock)
begun = begin_study(storage, "study", None, {"params": space.constant()}, lock)
study = Study(begun, storage, space, lock)
while study.tally().finished < int(wanted):
    number = study.claim(int(wanted))
    if number is None:
        time.sleep(0.1)
    else:
        study.complete(number, study.values(number)["train.optimizer.learning_rate"])
"""


def crowd(folder: Path, url: str, *, one_lock: bool) -> None:
    """Run the processes, with one common lock, or with one each, as on separate machines."""
    command = [sys.executable, "-c", CODE, str(folder)]
    locks = [folder / ("optuna.lock" if one_lock else f"{n}.lock") for n in range(PROCESSES)]
    processes = [
        subprocess.Popen(
            [*command, str(lock), url, str(WANTED)], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        for lock in locks
    ]
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert errors == [""] * PROCESSES


def trials(folder: Path, url: str) -> list[FrozenTrial]:
    storage = open_storage(url or None, folder / "optuna.log", FileLock(folder / "optuna.lock"))
    found = load_study(storage, "study").get_trials()
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()
    return found


@pytest.mark.parametrize("database", ["", "sqlite"])
def test_on_one_machine_the_total_is_exact(tmp_path: Path, database: str) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}" if database else ""
    crowd(tmp_path, url, one_lock=True)
    assert [trial.state for trial in trials(tmp_path, url)] == [TrialState.COMPLETE] * WANTED


def test_on_several_machines_the_total_is_exact(tmp_path: Path, postgres: Server) -> None:
    """Without a common lock, some processes start surplus trials and fail them again."""
    url = postgres.create("crowd")
    crowd(tmp_path, url, one_lock=False)
    found = trials(tmp_path, url)
    assert sum(trial.state == TrialState.COMPLETE for trial in found) == WANTED
    others = {trial.user_attrs["reason"] for trial in found if trial.state == TrialState.FAIL}
    assert others <= {SURPLUS}
    assert {trial.state for trial in found} <= {TrialState.COMPLETE, TrialState.FAIL}
    drawn = {str(trial.params) for trial in found if trial.state == TrialState.COMPLETE}
    assert len(drawn) == WANTED
