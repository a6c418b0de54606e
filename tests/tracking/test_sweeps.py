"""Sweeps in a real MLflow store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from src.core.progress import Epoch
from src.tracking.store import close_abandoned_runs
from src.tracking.sweeps import Ended, TrackedSweep, track_sweep
from tests.tracking.test_runs import STAGES

PARAMS = {"train.epochs": 2, "tune.space.train.batch_size.type": "int"}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a train stage, and the working directory in it."""
    (tmp_path / "dvc.yaml").write_text(STAGES.replace("first:", "train:"))
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    (tmp_path / "code.py").touch()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sweep(project: Path) -> Iterator[TrackedSweep]:
    with track_sweep("study", "id1", PARAMS, {"sampler": "tpe"}) as opened:
        yield opened


def runs(project: Path) -> dict[str, Run]:
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tune")
    assert experiment is not None
    found = list(client.search_runs([experiment.experiment_id]))
    assert len({run.info.run_name for run in found}) == len(found)
    return {str(run.info.run_name): run for run in found}


def test_a_trial_is_a_child_run_of_its_study(project: Path, sweep: TrackedSweep) -> None:
    sweep.on_start(3, {"model.kernel_sizes.0": 5}, {"model": {"kernel_sizes": [5, 3]}, "seed": 0})
    sweep.on_epoch(3, Epoch(1, 0.5, 0.4, 0.9, 0.01, 1000.0))
    sweep.on_end(Ended(3, "complete", 0.4))
    found = runs(project)
    trial, parent = found["trial-3"], found["study"]
    assert trial.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert trial.data.params == {
        "model.kernel_sizes": "[5, 3]",
        "model.kernel_sizes.0": "5",
        "seed": "0",
    }
    assert trial.data.metrics["val_loss"] == trial.data.metrics["kept_val_loss"] == 0.4
    assert (trial.info.status, trial.data.tags["optuna.state"]) == ("FINISHED", "complete")
    assert trial.data.tags["sampler"] == "tpe"
    assert trial.data.tags["optuna.study_id"] == "id1"
    assert parent.data.params == {key: str(value) for key, value in PARAMS.items()}
    assert parent.info.status == "RUNNING"


@pytest.mark.parametrize(("state", "status"), [("pruned", "FINISHED"), ("failed", "FAILED")])
def test_a_trial_that_is_not_complete_has_its_reason(
    project: Path, sweep: TrackedSweep, state: str, status: str
) -> None:
    sweep.on_start(0, {}, {})
    sweep.on_end(Ended(0, state, reason="the loss became nan"))
    run = runs(project)["trial-0"]
    assert (run.info.status, run.data.tags["optuna.state"]) == (status, state)
    assert run.data.tags["reason"] == "the loss became nan"
    assert "kept_val_loss" not in run.data.metrics


def test_a_trial_that_fails_by_a_bug_has_its_traceback(project: Path, sweep: TrackedSweep) -> None:
    sweep.on_start(0, {}, {})
    sweep.on_end(Ended(0, "failed", reason="KeyError: 'x'", traceback="Traceback: a bug"))
    run = runs(project)["trial-0"]
    assert run.data.tags["reason"] == "KeyError: 'x'"
    artifacts = Path(str(run.info.artifact_uri).removeprefix("file://"))
    assert (artifacts / "traceback.txt").read_text() == "Traceback: a bug"


def test_a_study_has_one_run_over_all_calls(project: Path) -> None:
    for number in range(3):
        with track_sweep("study", "id1", PARAMS, {}) as sweep:
            assert runs(project)["study"].info.status == "RUNNING"
            sweep.on_start(number, {}, {})
            sweep.on_end(Ended(number, "complete", 0.1))
            sweep.conclude({"best_val_loss": 0.1}, [])
    found = runs(project)
    assert set(found) == {"study", "trial-0", "trial-1", "trial-2"}
    assert {run.info.status for run in found.values()} == {"FINISHED"}


def test_a_new_study_of_the_same_name_has_another_run(project: Path) -> None:
    for study in ("id1", "id2"):
        with track_sweep(f"study of {study}", study, PARAMS, {}):
            pass
    assert len(runs(project)) == 2


def test_runs_are_made_to_agree_with_the_study(project: Path) -> None:
    """A killed process left trial 0 open, and never began a run for trial 2."""
    with track_sweep("study", "id1", PARAMS, {}) as sweep:
        sweep.on_start(0, {}, {})
        sweep.on_start(1, {}, {})
        sweep.on_end(Ended(1, "complete", 0.2))
    with track_sweep("study", "id1", PARAMS, {}) as sweep:
        sweep.mirror(
            [
                Ended(0, "failed", reason="its process was killed"),
                Ended(1, "complete", 0.2),
                Ended(2, "complete", 0.3, drawn={"train.batch_size": 16}),
            ]
        )
    found = runs(project)
    states = {name: run.data.tags.get("optuna.state") for name, run in found.items()}
    assert states == {
        "study": None,
        "trial-0": "failed",
        "trial-1": "complete",
        "trial-2": "complete",
    }
    assert found["trial-0"].info.status == "FAILED"
    assert found["trial-0"].data.tags["reason"] == "its process was killed"
    assert found["trial-2"].data.metrics["kept_val_loss"] == 0.3
    assert found["trial-2"].data.params == {"train.batch_size": "16"}


def test_an_interrupted_sweep_closes_the_run_of_its_study(project: Path) -> None:
    with pytest.raises(KeyboardInterrupt), track_sweep("study", "id1", PARAMS, {}):
        raise KeyboardInterrupt
    assert runs(project)["study"].info.status == "KILLED"


def test_the_results_of_a_study_are_logged_to_its_run(project: Path, sweep: TrackedSweep) -> None:
    (project / "study.csv").write_text("trial\n0\n")
    sweep.conclude({"best_val_loss": 0.25}, [project / "study.csv"])
    run = runs(project)["study"]
    assert run.data.metrics == {"best_val_loss": 0.25}
    artifacts = Path(str(run.info.artifact_uri).removeprefix("file://"))
    assert (artifacts / "study.csv").read_text() == "trial\n0\n"


def test_runs_of_a_killed_sweep_are_closed_by_the_next_command(project: Path) -> None:
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    with track_sweep("study", "id1", PARAMS, {}) as sweep:
        sweep.on_start(0, {}, {})
        for run in runs(project).values():
            client.set_tag(run.info.run_id, "process.id", "999999999")
        close_abandoned_runs()
        assert {run.info.status for run in runs(project).values()} == {"KILLED"}
