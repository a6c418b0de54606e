"""One call of the sweep, with made-up trials where their number does not matter."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from src.core.progress import Epoch
from src.tune.confirm import choose
from src.tune.session import run_session
from src.tune.study import Study
from tests.conftest import shrunk
from tests.tune.conftest import BeginStudy

PRESENT = shrunk(tune__confirm={"top": 2, "seeds": 2})


class Record:
    """Remembers what it is to hold."""

    def __init__(self) -> None:
        self.ended: list[Any] = []
        self.metrics: dict[str, float] = {}
        self.files: list[str] = []

    def on_start(self, trial: int, drawn: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        pass

    def on_epoch(self, trial: int, epoch: Epoch) -> None:
        pass

    def on_end(self, trial: int, state: str, value: float | None, reason: str) -> None:
        pass

    def mirror(self, outcomes: Iterable[Any]) -> None:
        self.ended = [*outcomes]

    def conclude(self, metrics: Mapping[str, float], files: Iterable[Path]) -> None:
        self.metrics = dict(metrics)
        self.files = [path.name for path in files]


def run(study: Study, wanted: int, timeout: float = float("inf")) -> Record:
    record = Record()
    csv = Path("reports/tune/study.csv")
    run_session(
        study,
        PRESENT,
        record,
        csv,
        check=lambda: None,
        wanted=wanted,
        workers=2,
        timeout=timeout,
    )
    return record


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
    record = run(study, wanted=5)
    printed = capsys.readouterr().out
    assert "study study: 5 of 5 trials finished" in printed
    assert "The winner by its mean is trial" in printed
    assert [number for number, *_ in record.ended] == [0, 1, 2, 3, 4]
    assert record.files == [
        "study.csv",
        "history.png",
        "importances.png",
        "parallel_coordinates.png",
        "slice.png",
        "confirmation.csv",
    ]
    rows = pd.read_csv("reports/tune/study/confirmation.csv").set_index("candidate")
    fresh = rows[rows["seed"] > 0]["val_loss"].groupby("candidate").mean().drop("params.yaml")
    assert record.metrics["winner_val_loss_mean"] == pytest.approx(fresh.min())
    assert record.metrics["best_val_loss"] == 1.0
    assert sum(v for k, v in record.metrics.items() if "importance" in k) == pytest.approx(1)

    chosen, why = choose(study, PRESENT)
    assert chosen.name == fresh.idxmin()
    worse = fresh.min() > record.metrics["present_val_loss_mean"]
    assert ("NO improvement" in why) == worse


def test_no_trial_is_begun_when_there_is_no_time(
    begin: BeginStudy, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = begin()
    complete(study, 2)
    record = run(study, wanted=5, timeout=0)
    assert len(study.trials()) == 2
    assert record.files == ["study.csv"]
    assert capsys.readouterr().out.endswith("The same command goes on.\n")


def test_trials_that_a_killed_process_left_do_not_stay_open(
    begin: BeginStudy, workplace: Path
) -> None:
    killed = begin()
    killed._me = {**killed._me, "process.id": "999999999"}
    killed.claim(5)
    record = run(begin(), wanted=5, timeout=0)
    ((number, state, _, reason, _),) = record.ended
    assert (number, state, reason) == (0, "failed", "its process was killed")
