"""The report of a study with made-up losses."""

from pathlib import Path

import pandas as pd
import pytest

from src.core.progress import Ended
from src.tune.confirm import Confirmation
from src.tune.results import ended_trials, importances, metrics, table, write_report
from src.tune.study import Study
from tests.tune.conftest import BeginStudy

NOTHING = Confirmation([], None, 0)


@pytest.fixture
def study(begin: BeginStudy) -> Study:
    """12 complete trials, whose loss is the learning rate; one pruned, one failed, one running."""
    study = begin(sampler="random")
    for _ in range(12):
        number = study.claim(100)
        assert number is not None
        study.complete(number, study.values(number)["train.optimizer.learning_rate"])
    for end in (study.prune, study.fail):
        number = study.claim(100)
        assert number is not None
        end(number, "a reason, with a comma")
    study.claim(100)
    return study


def test_the_table_has_a_row_for_each_trial(study: Study, tmp_path: Path) -> None:
    write_report(study, NOTHING, tmp_path / "study.csv")
    rows = pd.read_csv(tmp_path / "study.csv")
    trials = study.trials()
    assert rows["trial"].tolist() == list(range(15))
    assert rows["state"].tolist() == ["complete"] * 12 + ["pruned", "failed", "running"]
    assert rows["val_loss"].tolist()[:12] == [trial.value for trial in trials[:12]]
    assert rows["reason"][12] == "a reason, with a comma"
    for name in trials[0].params:
        assert rows[name].tolist() == [trial.params[name] for trial in trials]


def test_an_empty_study_has_a_report(begin: BeginStudy, tmp_path: Path) -> None:
    assert write_report(begin(), NOTHING, tmp_path / "study.csv") == [tmp_path / "study.csv"]


def test_importance_finds_the_parameter_that_matters(study: Study) -> None:
    shares = importances(study)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["train.optimizer.learning_rate"] > 0.8
    assert importances(study) == shares


def test_importances_need_several_distinct_losses(begin: BeginStudy) -> None:
    study = begin()
    for _ in range(10):
        number = study.claim(100)
        assert number is not None
        assert importances(study) == {}
        study.complete(number, 0.5)
    assert importances(study) == {}


def test_the_plots_are_not_blank(study: Study, tmp_path: Path) -> None:
    files = write_report(study, NOTHING, tmp_path / "study.csv")
    pictures = [path for path in files if path.suffix == ".svg"]
    assert [path.stem for path in pictures] == [
        "history",
        "importances",
        "slice",
    ]
    history, importances, slices = (path.read_text() for path in pictures)
    assert history.count("<use ") >= 12 + 1  # a dot for each, and for the legend
    for name in study.space.distributions:
        assert f">{name}</text>" in importances
        assert f">{name}</text>" in slices


def test_ended_trials_have_their_results(study: Study) -> None:
    ended = ended_trials(study)
    assert [one.name for one in ended] == [f"trial-{number}" for number in range(14)]
    first, failed = study.trials()[0], study.trials()[13]
    assert first.value is not None
    metrics = {"kept_val_loss": first.value}
    assert ended[0] == Ended("trial-0", "complete", first.params, metrics)
    reason = "a reason, with a comma"
    assert ended[13] == Ended("trial-13", "failed", failed.params, reason=reason)


def test_the_metrics_of_a_study_are_those_of_its_trials(study: Study) -> None:
    found = metrics(study, NOTHING)
    best = min(trial.value for trial in study.trials() if trial.value is not None)
    assert (found["trials_complete"], found["trials_pruned"], found["trials_failed"]) == (12, 1, 1)
    assert found["best_val_loss"] == best
    assert study.trials()[int(found["best_trial"])].value == best
    assert table(study)["seconds"].min() >= 0
