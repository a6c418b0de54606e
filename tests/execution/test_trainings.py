"""The trainings of a study: real workers, real runs in MLflow, real files."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from src.config.sections import RuntimeConfig
from src.core.cli import Workers
from src.core.errors import UserError
from src.core.progress import Epoch
from src.execution import trainings as module
from src.execution.executor import Executor, Finished, Outcome
from src.execution.trainings import Description, Trainings, trainings
from src.tracking.store import CROSSVAL
from src.training.jobs import Job, Scratch
from src.training.result import Result, to_bytes
from tests.conftest import WORKPLACE, shrunk

PARAMS = shrunk()
JOB = Scratch(train=PARAMS.train, seed=0, model=PARAMS.model, tests=("source.val",))
JOBS: dict[str, Job] = {f"seed-{seed}": replace(JOB, seed=seed) for seed in (0, 1)}
ABOUT = Description(CROSSVAL, "study", {"epochs": 2}, WORKPLACE, "train")
STAGE = """
stages:
  train:
    cmd: python train.py
    params: [seed]
    deps: [data/tensors/source/train.safetensors, src/code]
"""


@pytest.fixture(autouse=True)
def project(workplace: Path, tracking_database: Path) -> Path:
    """A repository with a train stage, and the working directory in it."""
    shutil.copy(tracking_database, workplace)
    (workplace / "dvc.yaml").write_text(STAGE)
    (workplace / "params.yaml").write_text("seed: 0\n")
    (workplace / "src/code").mkdir(parents=True)
    (workplace / "src/code/fit.py").write_text("# one\n")
    return workplace


@pytest.fixture
def shared(executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no new worker is the point: they take seconds to start."""
    monkeypatch.setattr(module, "launched", lambda *_: nullcontext(executor))


def study(
    jobs: Mapping[str, Job] = JOBS, workers: int = 1, runtime: RuntimeConfig = PARAMS.runtime
) -> dict[str, Result]:
    with trainings(ABOUT, runtime, Workers(workers)) as opened:
        return opened.run(jobs)


def runs(project: Path) -> list[Run]:
    """By name, and the oldest first."""
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("crossval")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], order_by=["start_time ASC"])
    return sorted(found, key=lambda run: str(run.info.run_name))


def kept(project: Path) -> dict[str, int]:
    """When each result was written."""
    folder = project / "data/trainings"
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def logits(results: Mapping[str, Result]) -> list[list[list[float]]]:
    return [result.predictions["source.val"].logits.tolist() for result in results.values()]


@pytest.mark.usefixtures("shared")
def test_what_was_trained_is_found_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = study({"seed-0": JOB})
    before = kept(project)
    assert "seed-0 complete  val loss" in capsys.readouterr().out
    again = study()
    assert capsys.readouterr().out.startswith("study: 1 of 2 trainings are done\nseed-1")
    assert logits(again)[:1] == logits(first)
    assert {name: kept(project)[name] for name in before} == before
    assert len(kept(project)) == 2
    assert [run.info.run_name for run in runs(project)] == ["seed-0", "seed-1", "study"]
    assert {run.info.status for run in runs(project)} == {"FINISHED"}


@pytest.mark.usefixtures("shared")
def test_a_damaged_result_is_trained_again(project: Path) -> None:
    first = study({"seed-0": JOB})
    (path,) = (project / "data/trainings").iterdir()
    content = path.read_bytes()
    for damaged in (b"", content[:-1], content[:-1] + bytes([content[-1] ^ 1])):
        path.write_bytes(damaged)
        assert logits(study({"seed-0": JOB})) == logits(first)
        assert len(path.read_bytes()) > len(content) - 64  # whole, but for the digits of times


@pytest.mark.usefixtures("shared")
def test_the_result_of_another_job_is_not_taken_for_its_own(project: Path) -> None:
    first = study()
    one, other = (project / "data/trainings").iterdir()
    one.write_bytes(other.read_bytes())
    assert logits(study()) == logits(first)


@pytest.mark.usefixtures("shared")
def test_what_decides_a_result_begins_it_anew(project: Path) -> None:
    study({"seed-0": JOB})
    study({"seed-0": JOB}, runtime=PARAMS.runtime.model_copy(update={"threads": 2}))
    assert len(kept(project)) == 2
    (project / "src/code/fit.py").write_text("# another\n")
    study({"seed-0": JOB})
    assert len(kept(project)) == 3
    train, val = WORKPLACE.values()
    train.write_bytes(val.read_bytes())
    study({"seed-0": JOB})
    assert len(kept(project)) == 4
    assert len(runs(project)) == 8  # each time another study


@pytest.mark.usefixtures("shared")
def test_a_result_without_a_run_gets_one_and_an_open_run_is_closed(project: Path) -> None:
    """As a kill -9 between the two writes leaves them."""
    study()
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    first, second, _ = runs(project)
    client.delete_run(first.info.run_id)
    client.update_run(second.info.run_id, status="RUNNING")
    study()
    again, closed, _ = runs(project)
    assert closed.data.metrics == second.data.metrics
    assert closed.info.status == again.info.status == "FINISHED"
    assert again.data.metrics == first.data.metrics
    assert again.data.params == first.data.params
    for run in (again, closed):
        points = client.get_metric_history(run.info.run_id, "val_loss")
        assert [point.step for point in points] == [1, 2]


@pytest.mark.usefixtures("shared")
def test_failed_trainings_are_named_once_the_others_are_done(project: Path) -> None:
    bad = shrunk(train__optimizer__learning_rate=100.0, train__optimizer__name="sgd").train
    jobs: dict[str, Job] = {"bad": replace(JOB, train=bad), "good": JOB}
    message = "study: bad failed: the training loss became"
    with pytest.raises(UserError, match=message):
        study(jobs)
    assert len(kept(project)) == 1
    states = {str(run.info.run_name): run.info.status for run in runs(project)}
    assert states == {"bad": "FAILED", "good": "FINISHED", "study": "FAILED"}


def test_no_worker_starts_with_other_code_than_the_study_began_with(project: Path) -> None:
    opened = trainings(ABOUT, PARAMS.runtime, Workers(1))
    with pytest.raises(UserError, match="study: code or data changed after it was started"):
        _run_with_changed_code(opened, project)


def _run_with_changed_code(opened: AbstractContextManager[Trainings], project: Path) -> None:
    with opened as study:
        (project / "src/code/fit.py").write_text("# another\n")
        study.run(JOBS)


def test_workers_change_times_only_and_a_timed_study_measures_them(project: Path) -> None:
    two = study(workers=2)
    assert not any(result.alone for result in two.values())
    timed = replace(ABOUT, timed=True)
    for workers, alone in ((2, False), (1, True)):
        with trainings(timed, PARAMS.runtime, Workers(workers)) as opened:
            results = opened.run(JOBS)
        assert {result.alone for result in results.values()} == {alone}
        assert logits(results) == logits(two)


class Elsewhere:
    """The executor, but the second job is said to have run on another processor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def messages(self, timeout: float) -> Iterator[tuple[str, Epoch | Outcome]]:
        for name, message in self._executor.messages(timeout):
            if name == "seed-1" and isinstance(message, Finished):
                result = message.result
                machine = {**result.machine, "processor": "another"}
                yield name, Finished(to_bytes(replace(result, machine=machine)))
            else:
                yield name, message


def test_trainings_on_machines_of_several_kinds_are_told(
    project: Path,
    executor: Executor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(module, "launched", lambda *_: nullcontext(Elsewhere(executor)))
    study({"seed-0": JOB})
    assert "several kinds" not in capsys.readouterr().err
    study()
    assert "warning: study: trained on machines of several kinds (" in capsys.readouterr().err
    one, other, whole = runs(project)
    assert one.data.tags["processor"] != other.data.tags["processor"] == "another"
    assert "; " in whole.data.tags["machines"]
