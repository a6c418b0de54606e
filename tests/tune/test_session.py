"""One call of the sweep: made-up trials, real confirmation and report."""

import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock
from mlflow import MlflowClient

from src.core.cli import Workers
from src.core.tables import read_table
from src.execution.executor import Executor
from src.tracking.nested import track_study
from src.tracking.store import TUNE
from src.tune.confirm import Candidate, choose
from src.tune.session import Session
from src.tune.study import Study
from tests.conftest import WORKPLACE, shrunk
from tests.tracking.conftest import STAGES
from tests.tune.conftest import BeginStudy

PRESENT = shrunk(tune__confirm={"top": 2, "seeds": 2})


@pytest.fixture(autouse=True)
def project(workplace: Path, tracking_database: Path) -> Path:
    """A repository with a train stage, and the working directory in it."""
    shutil.copy(tracking_database, workplace)
    (workplace / "dvc.yaml").write_text(STAGES.replace("first:", "train:"))
    (workplace / "params.yaml").write_text("seed: 0\n")
    (workplace / "code.py").touch()
    return workplace


@dataclass(frozen=True)
class Tracked:
    """What is in MLflow after a call."""

    trials: dict[str, dict[str, str]]  # the tags of each trial's run
    metrics: dict[str, float]  # of the study's run
    files: list[str]  # of the study's run


def run(study: Study, wanted: int, timeout: float = float("inf")) -> Tracked:
    csv = Path("reports/tune/study.csv")
    with track_study(TUNE, "study", study.id, {}, {}, "train") as tracker:
        Session(
            study, PRESENT, WORKPLACE, tracker, csv, lambda: None, wanted, Workers(2), timeout
        ).run()
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name("tune")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    trials = {
        str(run.info.run_name): run.data.tags
        for run in runs
        if run.info.run_id != tracker.record.run_id
    }
    files = [file.path for file in client.list_artifacts(tracker.record.run_id)]
    return Tracked(trials, client.get_run(tracker.record.run_id).data.metrics, sorted(files))


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
    assert {*tracker.trials} == {f"trial-{number}" for number in range(5)}
    assert {tags["state"] for tags in tracker.trials.values()} == {"complete"}
    assert tracker.files == [
        "candidates.csv",
        "confirmation.csv",
        "history.svg",
        "importances.svg",
        "index.html",
        "slice.svg",
        "study.csv",
        "summary.txt",
    ]
    rows = pd.read_csv("reports/tune/study/confirmation.csv").set_index("candidate")
    fresh = rows[rows["seed"] > 0]["val_loss"].groupby("candidate").mean().drop("params.yaml")
    assert tracker.metrics["winner_val_loss_mean"] == pytest.approx(fresh.min())
    shown = read_table(Path("reports/tune/study/candidates.csv")).set_index("name")["val_loss"]
    assert shown.drop("params.yaml").to_dict() == pytest.approx(fresh.to_dict())
    assert tracker.metrics["best_val_loss"] == 1.0
    assert sum(v for k, v in tracker.metrics.items() if "importance" in k) == pytest.approx(1)

    chosen, why = choose(study, PRESENT)
    assert chosen.name == fresh.idxmin()
    worse = fresh.min() > tracker.metrics["present_val_loss_mean"]
    assert ("NO improvement" in why) == worse


def test_waiting_for_another_process_that_confirms_can_be_interrupted(
    begin: BeginStudy, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = begin()
    complete(study, 2)
    lock = Path("reports/tune/study.confirm.lock")
    lock.parent.mkdir(parents=True)
    said = list[str]()

    def interrupt(words: str, **_: object) -> None:
        said.append(words)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("src.core.files.print", interrupt, raising=False)
    with FileLock(lock), pytest.raises(KeyboardInterrupt):
        run(study, wanted=2)
    assert said == ["Waiting for another process that confirms the winner of study study."]


def test_trials_added_while_waiting_to_confirm_are_candidates(
    begin: BeginStudy, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(begin(), 2)
    Path("reports/tune").mkdir(parents=True)
    other = FileLock("reports/tune/study.confirm.lock")
    chosen = list[str]()

    def add_a_better_trial(*_: object, **__: object) -> None:
        study = begin()
        number = study.claim(3)
        assert number is not None
        study.complete(number, 0.5)
        other.release()

    def note(study: Study, executor: Executor, found: Sequence[Candidate]) -> None:
        chosen.extend(one.name for one in found)
        raise KeyboardInterrupt  # the rest is tested above

    monkeypatch.setattr("src.core.files.print", add_a_better_trial, raising=False)
    monkeypatch.setattr("src.tune.session.confirm", note)
    with other, pytest.raises(KeyboardInterrupt):
        run(begin(), wanted=2)
    assert chosen == ["trial 2", "trial 0", "params.yaml"]


def test_no_trial_starts_after_the_timeout(
    begin: BeginStudy, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = begin()
    complete(study, 2)
    tracker = run(study, wanted=5, timeout=0)
    assert len(study.trials()) == 2
    assert tracker.files == ["index.html", "study.csv", "summary.txt"]
    printed = capsys.readouterr().out
    assert printed.endswith(
        "Run the same command again to continue.\nThe page: reports/tune/index.html\n"
        "written to reports/tune/study.csv and reports/tune/study\n"
    )


def test_a_study_without_a_trial_has_a_report(begin: BeginStudy, workplace: Path) -> None:
    run(begin(), wanted=5, timeout=0)
    assert read_table(Path("reports/tune/study.csv")).empty
    assert "Study study" in Path("reports/tune/index.html").read_text()


def test_trials_that_a_killed_process_left_do_not_stay_open(
    begin: BeginStudy, workplace: Path
) -> None:
    killed = begin()
    killed._owner = {**killed._owner, "process.id": "999999999"}
    killed.claim(5)
    tracker = run(begin(), wanted=5, timeout=0)
    assert [*tracker.trials] == ["trial-0"]
    assert tracker.trials["trial-0"]["state"] == "failed"
    assert tracker.trials["trial-0"]["reason"] == "its process was killed"
