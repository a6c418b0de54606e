"""One call of the sweep: made-up trials, real confirmation and report."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from src.core.progress import Ended, Epoch
from src.tune.confirm import choose
from src.tune.session import Session
from src.tune.study import Study
from tests.conftest import WORKPLACE, shrunk
from tests.tune.conftest import BeginStudy

PRESENT = shrunk(tune__confirm={"top": 2, "seeds": 2})


class Tracker:
    """Keeps what it receives, and is its own record."""

    def __init__(self) -> None:
        self.ended: list[Ended] = []
        self.numbers: dict[str, float] = {}
        self.files: list[str] = []

    @property
    def record(self) -> "Tracker":
        return self

    def on_start(self, name: str, values: Mapping[str, Any]) -> None:
        pass

    def on_epoch(self, name: str, epoch: Epoch) -> None:
        pass

    def on_end(self, ended: Ended) -> None:
        pass

    def mirror(self, trainings: Iterable[Ended]) -> None:
        self.ended = [*trainings]

    def metrics(self, values: Mapping[str, float]) -> None:
        self.numbers = dict(values)

    def file(self, path: Path) -> None:
        self.files.append(path.name)


def run(study: Study, wanted: int, timeout: float = float("inf")) -> Tracker:
    tracker = Tracker()
    csv = Path("reports/tune/study.csv")
    Session(study, PRESENT, WORKPLACE, tracker, csv, lambda: None, wanted, 2, timeout).run()
    return tracker


def complete(study: Study, count: int) -> None:
    for number in range(count):
        claimed = study.claim(100)
        assert claimed is not None
        study.complete(claimed, 1.0 + number)


def test_a_study_with_enough_trials_is_confirmed_and_reported(
    begin: BeginStudy, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = begin()
    complete(study, 5)
    tracker = run(study, wanted=5)
    printed = capsys.readouterr().out
    assert "study study: 5 of 5 trials finished" in printed
    assert " wins with the lowest mean loss" in printed
    assert [ended.name for ended in tracker.ended] == [f"trial-{number}" for number in range(5)]
    assert tracker.files == [
        "study.csv",
        "history.png",
        "importances.png",
        "parallel_coordinates.png",
        "slice.png",
        "confirmation.csv",
    ]
    rows = pd.read_csv("reports/tune/study/confirmation.csv").set_index("candidate")
    fresh = rows[rows["seed"] > 0]["val_loss"].groupby("candidate").mean().drop("params.yaml")
    assert tracker.numbers["winner_val_loss_mean"] == pytest.approx(fresh.min())
    assert tracker.numbers["best_val_loss"] == 1.0
    assert sum(v for k, v in tracker.numbers.items() if "importance" in k) == pytest.approx(1)

    chosen, why = choose(study, PRESENT)
    assert chosen.name == fresh.idxmin()
    worse = fresh.min() > tracker.numbers["present_val_loss_mean"]
    assert ("NO improvement" in why) == worse


def test_no_trial_starts_after_the_timeout(
    begin: BeginStudy, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = begin()
    complete(study, 2)
    tracker = run(study, wanted=5, timeout=0)
    assert len(study.trials()) == 2
    assert tracker.files == ["study.csv"]
    assert capsys.readouterr().out.endswith("Run the same command again to continue.\n")


def test_trials_that_a_killed_process_left_do_not_stay_open(
    begin: BeginStudy, workplace: Path
) -> None:
    killed = begin()
    killed._owner = {**killed._owner, "process.id": "999999999"}
    killed.claim(5)
    tracker = run(begin(), wanted=5, timeout=0)
    (ended,) = tracker.ended
    assert (ended.name, ended.state) == ("trial-0", "failed")
    assert ended.reason == "its process was killed"
