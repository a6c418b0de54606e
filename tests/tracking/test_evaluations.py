"""Finished evaluations, found in a real store."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from src.core.errors import UserError
from src.tracking.evaluations import evaluations
from src.tracking.revisions import Evaluated
from src.tracking.runs import track
from src.tracking.store import opened
from tests.tracking.conftest import STAGES


@pytest.fixture(autouse=True)
def evaluate(project: Path) -> None:
    """Its stage is called as one that evaluates."""
    (project / "dvc.yaml").write_text(STAGES.replace("first:", "evaluate:"))


PREDICTIONS = "predictions_base_source.csv"


def evaluated(project: Path, name: str, **parameters: object) -> str:
    """An evaluate run that left a table with this content."""
    folder = project / "evaluation"
    folder.mkdir(exist_ok=True)
    (folder / PREDICTIONS).write_text(name)
    (project / "metrics.json").write_text('{"base": {"source": {"accuracy": 0.5}}}')
    with track("evaluate", parameters) as run:
        run.file(folder)
        run.file(project / "metrics.json")
        run.tags({"test.source": "a fingerprint"})
        return run.run_id


def found(*names: str) -> AbstractContextManager[list[Evaluated]]:
    """By MLflow alone: there is no dvc.lock, and no commit."""
    return evaluations(names, lambda path: pytest.fail(f"{path} was opened"))


def test_an_evaluation_is_found_by_the_beginning_of_its_id(project: Path) -> None:
    first, second = (evaluated(project, name) for name in ("first", "second"))
    with found(first[:12], second) as [one, other]:
        assert (one.run, other.run) == (first, second)
        assert one.predictions[PREDICTIONS].read_text() == "first"
        assert other.predictions[PREDICTIONS].read_text() == "second"
        assert one.metrics == {"base.source.accuracy": 0.5}
        assert one.tests == {"source": "a fingerprint", "target": ""}


def test_a_training_leads_to_its_latest_evaluation(project: Path) -> None:
    with track("evaluate", {}) as training:
        training.tags({"dvc.stage": "train"})
    first, second = (evaluated(project, name) for name in ("first", "second"))
    with opened("pipeline") as (client, _):
        for run in (first, second):
            client.set_tag(run, "upstream.train", training.run_id)
    with found(training.run_id) as [latest]:
        assert latest.run == second


def test_what_is_no_evaluation_is_refused_in_one_line(project: Path) -> None:
    evaluated(project, "first")
    with track("evaluate", {}) as training:
        training.tags({"dvc.stage": "train"})
    for run, message in (
        ("nothing", "'nothing': should be .* beginning of the id of one run in MLflow, not of 0"),
        (training.run_id, "a run of train on which no finished evaluate run is based"),
    ):
        with pytest.raises(UserError, match=message), found(run):
            pass


def test_values_are_what_they_were(project: Path) -> None:
    """MLflow keeps texts; parameters that no stage reads are left out."""
    values = {"rate": 1e-8, "sizes": [3, 5], "clip": None, "best": True, "name": "folder:a"}
    run = evaluated(project, "first", seed=values, tune={"sampler": "tpe"})
    with found(run) as [one]:
        assert one.parameters == {f"seed.{key}": value for key, value in values.items()}


def test_a_params_file_leads_to_the_latest_run_with_its_values(project: Path) -> None:
    _, second, _ = (evaluated(project, "", seed=seed) for seed in (0, 0, 1))
    with found("params.yaml") as [one]:
        assert one.run == second
    (project / "params.yaml").write_text("seed: 2")
    with pytest.raises(UserError, match=r"params\.yaml: no finished .*"), found("params.yaml"):
        pass
