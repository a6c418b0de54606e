"""Runs with runs below them, in a real store."""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from src.core.errors import UserError
from src.tracking.evaluations import evaluations
from src.tracking.nested import track_parent
from src.tracking.runs import track
from src.tracking.store import CROSSVAL, close_abandoned_runs, opened
from tests.tracking.test_runs import STAGES


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with an evaluate stage, and the working directory in it."""
    (tmp_path / "dvc.yaml").write_text(STAGES.replace("first:", "evaluate:"))
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    (tmp_path / "code.py").touch()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runs(project: Path, experiment: str) -> dict[str, Run]:
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return {str(run.info.run_name): run for run in client.search_runs([found.experiment_id])}


def test_children_are_below_their_parent(project: Path) -> None:
    with track_parent(CROSSVAL, "crossval", {"train": {"epochs": 2}}) as parent:
        with parent.child("fold-1") as child:
            child.metrics({"val_loss": 0.5})
        parent.metrics({"accuracy": 0.9})
    found = runs(project, "crossval")
    assert found["fold-1"].data.tags["mlflow.parentRunId"] == found["crossval"].info.run_id
    assert found["fold-1"].data.metrics == {"val_loss": 0.5}
    assert found["crossval"].data.params == {"train.epochs": "2"}
    assert {run.info.status for run in found.values()} == {"FINISHED"}


def test_a_failure_closes_parent_and_child(project: Path) -> None:
    with (
        pytest.raises(UserError),
        track_parent(CROSSVAL, "crossval", {}) as parent,
        parent.child("fold-1"),
    ):
        raise UserError("stopped")
    assert {run.info.status for run in runs(project, "crossval").values()} == {"FAILED"}


def test_a_parent_whose_process_was_killed_is_closed(project: Path) -> None:
    with track_parent(CROSSVAL, "crossval", {}) as parent:
        run_id = parent.run_id
    with opened(CROSSVAL) as (client, _):
        client.update_run(run_id, status="RUNNING")
        client.set_tag(run_id, "process.started", "0")  # that of another process
        close_abandoned_runs()
        assert client.get_run(run_id).info.status == "KILLED"


def evaluated(project: Path, name: str) -> str:
    """An evaluate run that left a file with this content."""
    folder = project / "evaluation"
    folder.mkdir(exist_ok=True)
    (folder / "predictions.csv").write_text(name)
    with track("evaluate", {}) as run:
        run.file(folder)
        return run.run_id


def test_an_evaluation_is_found_by_the_beginning_of_its_id(project: Path) -> None:
    first, second = (evaluated(project, name) for name in ("first", "second"))
    with evaluations(first[:12], second) as [one, other]:
        assert (one.run_id, other.run_id) == (first, second)
        assert (one.files / "predictions.csv").read_text() == "first"
        assert (other.files / "predictions.csv").read_text() == "second"


def test_a_training_leads_to_its_latest_evaluation(project: Path) -> None:
    with track("evaluate", {}) as training:
        training.tags({"dvc.stage": "train"})
    first, second = (evaluated(project, name) for name in ("first", "second"))
    with opened("pipeline") as (client, _):
        for run in (first, second):
            client.set_tag(run, "upstream.train", training.run_id)
    with evaluations(training.run_id) as [found]:
        assert found.run_id == second


def test_what_is_no_evaluation_is_refused_in_one_line(project: Path) -> None:
    evaluated(project, "first")
    with track("evaluate", {}) as training:
        training.tags({"dvc.stage": "train"})
    for run, message in (
        ("nothing", "'nothing': should be the beginning of one run's id in MLflow, not of 0"),
        (training.run_id, "a run of train on which no finished evaluate run is based"),
    ):
        with pytest.raises(UserError, match=message), evaluations(run):
            pass
