"""Finished evaluations, found in a real store."""

from pathlib import Path

import pytest

from src.core.errors import UserError
from src.tracking.evaluations import evaluations
from src.tracking.runs import track
from src.tracking.store import opened
from tests.tracking.conftest import STAGES


@pytest.fixture(autouse=True)
def evaluate(project: Path) -> None:
    """Its stage is called as one that evaluates."""
    (project / "dvc.yaml").write_text(STAGES.replace("first:", "evaluate:"))


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
