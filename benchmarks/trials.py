"""Trials an hour of a sweep here, against another checkout of the project.

    python -m benchmarks.trials OTHER [TURNS]

Runs in copies of both, in turn: a sweep of 30 trials with two workers, of the network of
params.yaml for two epochs; a study of its own each time. The time is that from the start of the
first trial to the end of the last one. Then, with one worker and one seed, four trials on each
side, whose values and losses are compared.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import optuna
import pandas as pd
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from benchmarks.checkouts import copy
from src.config.values import rewrite
from src.core import paths
from tests.clones import Clone
from tests.conftest import ROOT

TRIALS = 30
SHORT = {"train.epochs": 2, "tune.pruner": "none", "tune.confirm.top": 1, "tune.confirm.seeds": 2}


def prepared(checkout: Path, folder: Path) -> Clone:
    """A copy of `checkout` with short trials, and the data in it."""
    project = copy(checkout, folder)
    params = rewrite((ROOT / paths.PARAMS).read_text(), SHORT)
    (project.root / paths.PARAMS).write_text(params)
    project.call("dvc", "repro", "preprocess")
    return project


def sweep(project: Clone, study: str, trials: int, workers: int, *place: str) -> pd.DataFrame:
    """The table of trials, with their start and end. place: arguments that say where they run."""
    command = ("python", "-m", "src.tune", "--trials", str(trials), "--workers", str(workers))
    project.call(*command, "--study", study, "--seed", "0", *place)
    storage = JournalStorage(JournalFileBackend(str(project.root / paths.STUDIES)))
    return optuna.load_study(study_name=study, storage=storage).trials_dataframe()


def an_hour(table: pd.DataFrame) -> float:
    span = table["datetime_complete"].max() - table["datetime_start"].min()
    return float(3600 * len(table) / span.total_seconds())


def main() -> None:
    other = Path(sys.argv[1]).resolve()
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            name: prepared(checkout, Path(folder) / name)
            for name, checkout in (("other", other), ("here", ROOT))
        }
        ratios = []
        for turn in range(turns):
            speed = {
                name: an_hour(sweep(project, f"turn-{turn}", TRIALS, 2))
                for name, project in sides.items()
            }
            ratios.append(speed["here"] / speed["other"])
            print(
                f"{speed['other']:.0f} and here {speed['here']:.0f} trials an hour, "
                f"ratio {ratios[-1]:.2f}",
                flush=True,
            )
        print(f"median ratio {statistics.median(ratios):.2f}")
        tables = [sweep(project, "same", 4, 1) for project in sides.values()]
        first, second = (table.filter(regex="^(value|params)") for table in tables)
        print(f"equal values and losses: {first.equals(second)}")


if __name__ == "__main__":
    main()
