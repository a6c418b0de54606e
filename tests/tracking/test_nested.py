"""Studies in a real MLflow store: a run each, with a child for each training."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from mlflow.entities import Run

from src.core.errors import UserError
from src.core.progress import Ended, Epoch
from src.tracking.nested import TrackedStudy, track_study
from src.tracking.store import TUNE, close_abandoned_runs
from tests.conftest import ROOT
from tests.tracking.conftest import client
from tests.tracking.conftest import runs as listed
from tests.tracking.test_outbox import away

EPOCHS = [Epoch(number, 0.5, 0.4 / number, 0.9, 0.01, 1000.0) for number in (1, 2, 3)]
PARAMS = {"train.epochs": 2, "tune.space.train.batch_size.type": "int"}


def tracked(key: str = "id1", name: str = "study") -> AbstractContextManager[TrackedStudy]:
    return track_study(TUNE, name, key, PARAMS, {"sampler": "tpe"}, "first")


@pytest.fixture
def study(project: Path) -> Iterator[TrackedStudy]:
    with tracked() as opened:
        yield opened


def complete(name: str, loss: float, **values: int) -> Ended:
    return Ended(name, "complete", values, {"kept_val_loss": loss}, epochs=EPOCHS)


def runs(project: Path) -> dict[str, Run]:
    """Those of the sweeps by name; each is there once."""
    found = listed(project, TUNE)
    assert len({run.info.run_name for run in found}) == len(found)
    return {str(run.info.run_name): run for run in found}


def test_a_training_is_a_child_run_of_its_study(project: Path, study: TrackedStudy) -> None:
    study.on_start("fold-3", {"model": {"kernel_sizes": [5, 3]}, "seed": 0})
    for epoch in EPOCHS:
        study.on_epoch("fold-3", epoch)
    study.on_end(complete("fold-3", 0.2))
    found = runs(project)
    child, parent = found["fold-3"], found["study"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.params == {"model.kernel_sizes": "[5, 3]", "seed": "0"}
    assert child.data.metrics["kept_val_loss"] == 0.2
    assert (child.info.status, child.data.tags["state"]) == ("FINISHED", "complete")
    assert child.data.tags["sampler"] == "tpe"
    assert parent.data.params == {key: str(value) for key, value in PARAMS.items()}
    assert parent.info.status == "RUNNING"
    assert curve(project, child) == [(1, 0.4), (2, 0.2), (3, 0.4 / 3)]


def curve(project: Path, run: Run) -> list[tuple[int, float]]:
    points = client(project).get_metric_history(run.info.run_id, "val_loss")
    return [(point.step, point.value) for point in points]


@pytest.mark.parametrize(("state", "status"), [("pruned", "FINISHED"), ("failed", "FAILED")])
def test_a_training_that_is_not_complete_has_its_reason(
    project: Path, study: TrackedStudy, state: str, status: str
) -> None:
    study.on_start("trial-0", {})
    study.on_end(Ended("trial-0", state, reason="the loss became nan"))
    run = runs(project)["trial-0"]
    assert (run.info.status, run.data.tags["state"]) == (status, state)
    assert run.data.tags["reason"] == "the loss became nan"
    assert "kept_val_loss" not in run.data.metrics


def test_a_training_that_fails_by_a_bug_has_its_traceback(
    project: Path, study: TrackedStudy
) -> None:
    study.on_start("trial-0", {})
    study.on_end(Ended("trial-0", "failed", reason="KeyError: 'x'", traceback="Traceback: a bug"))
    run = runs(project)["trial-0"]
    assert run.data.tags["reason"] == "KeyError: 'x'"
    artifacts = Path(str(run.info.artifact_uri).removeprefix("file://"))
    assert (artifacts / "traceback.txt").read_text() == "Traceback: a bug"


def test_a_study_has_one_run_over_all_calls(project: Path) -> None:
    for number in range(3):
        with tracked() as study:
            assert runs(project)["study"].info.status == "RUNNING"
            study.on_start(f"trial-{number}", {})
            study.on_end(complete(f"trial-{number}", 0.1))
    found = runs(project)
    assert set(found) == {"study", "trial-0", "trial-1", "trial-2"}
    assert {run.info.status for run in found.values()} == {"FINISHED"}


def test_another_study_of_the_same_name_has_another_run(project: Path) -> None:
    for key in ("id1", "id2"):
        with tracked(key, f"study of {key}"):
            pass
    assert len(runs(project)) == 2


def test_runs_are_made_to_agree_with_the_results(project: Path) -> None:
    """A killed process left trial 0 open, and never began a run for trial 2."""
    with tracked() as study:
        study.on_start("trial-0", {})
        study.on_start("trial-1", {})
        study.on_end(complete("trial-1", 0.2))
    with tracked() as study:
        study.mirror(
            [
                Ended("trial-0", "failed", reason="its process was killed"),
                complete("trial-1", 0.2),
                complete("trial-2", 0.3, batch_size=16),
            ]
        )
    found = runs(project)
    states = {name: run.data.tags.get("state") for name, run in found.items()}
    assert states == {
        "study": None,
        "trial-0": "failed",
        "trial-1": "complete",
        "trial-2": "complete",
    }
    assert found["trial-0"].info.status == "FAILED"
    assert found["trial-0"].data.tags["reason"] == "its process was killed"
    assert found["trial-2"].data.metrics["kept_val_loss"] == 0.3
    assert found["trial-2"].data.params == {"batch_size": "16"}
    assert len(curve(project, found["trial-2"])) == 3


def test_a_training_that_is_run_again_replaces_its_failed_run(project: Path) -> None:
    with tracked() as study:
        for name in ("fold-1", "fold-2"):
            study.on_start(name, {"try": 1})
        study.on_end(Ended("fold-1", "failed", reason="its worker was killed"))
        study.on_start("fold-1", {"try": 2})
        study.on_end(complete("fold-1", 0.1))
        client(project).set_terminated(
            runs(project)["fold-2"].info.run_id, "KILLED"
        )  # by a kill -9
    with tracked() as study:
        study.mirror([complete("fold-1", 0.1)])
        study.on_start("fold-2", {"try": 2})
        study.on_end(complete("fold-2", 0.2))
    found = runs(project)
    assert {name: run.data.params.get("try") for name, run in found.items() if "fold" in name} == {
        "fold-1": "2",
        "fold-2": "2",
    }
    assert {run.info.status for run in found.values()} == {"FINISHED"}


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt, "KILLED"), (UserError, "FAILED")]
)
def test_an_interruption_closes_the_run_of_the_study(
    project: Path, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error), tracked():
        raise error
    assert runs(project)["study"].info.status == status


def test_runs_of_a_killed_command_are_closed_by_the_next(project: Path) -> None:
    code = (
        "import os\n"
        "from src.tracking.nested import track_study\n"
        "with track_study('tune', 'study', 'id1', {}, {}) as study:\n"
        "    study.on_start('trial-0', {})\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert {run.info.status for run in runs(project).values()} == {"RUNNING"}
    close_abandoned_runs()
    assert {run.info.status for run in runs(project).values()} == {"KILLED"}


def test_a_study_goes_on_without_mlflow_and_makes_up_for_it_later(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = [complete(f"trial-{number}", 0.1 * number) for number in (1, 2)]
    with tracked() as study:
        study.on_start("trial-1", {})
        with away(project, "runs"):
            study.on_epoch("trial-1", EPOCHS[0])
            study.on_end(done[0])
            study.on_start("trial-2", {})
            study.on_end(done[1])
    assert capfd.readouterr().err.count("warning: MLflow at sqlite:///") == 1
    with tracked() as study:
        study.mirror(done)
    found = runs(project)
    assert {name: run.info.status for name, run in found.items()} == dict.fromkeys(
        ("study", "trial-1", "trial-2"), "FINISHED"
    )
    assert len(curve(project, found["trial-1"])) == 1
    assert len(curve(project, found["trial-2"])) == 3
