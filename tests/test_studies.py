"""Studies by their commands, in a clone that has their data."""

import re
from collections.abc import Iterator

import pandas as pd
import pytest

from tests.clones import Clone, clone


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone with tensors, and no models: no study needs those of the pipeline."""
    made = clone(tmp_path_factory.mktemp("prepared"))
    made.call("dvc", "repro", "preprocess")
    made.commit()
    return made


@pytest.fixture
def project(prepared: Clone) -> Iterator[Clone]:
    """The clone; what a test changes in its tracked files is taken back."""
    yield prepared
    prepared.reset()


def test_folds_of_a_cross_validation_are_runs_below_one(project: Clone) -> None:
    printed = project.call("python", "-m", "src.crossval", "--folds", "2")
    assert "2 folds: accuracy" in printed
    assert "of 4000 images, each predicted by a model that was not trained on it" in printed
    parent, *folds = project.runs("crossval")
    assert [run.info.run_name for run in folds] == ["fold-1", "fold-2"]
    assert {run.data.tags["mlflow.parentRunId"] for run in folds} == {parent.info.run_id}
    table = pd.read_csv(project.root / "reports/crossval/folds.csv")
    assert table["n"].tolist() == [2000, 2000, 4000]
    assert parent.data.metrics["accuracy"] == pytest.approx(table["accuracy"].iloc[-1])
    issues = pd.read_csv(project.root / "reports/crossval/label_issues.csv")
    assert set(issues["split"]) <= {"train", "val"}
    assert (issues["label"] != issues["suggested"]).all()


def test_transfer_methods_are_compared_in_one_table(project: Clone) -> None:
    printed = project.call("python", "-m", "src.transfer", "--seeds", "2", "--labels", "1,3")
    assert re.search(r"\| labels per class +\| 0 +\| 1 +\| 3 +\|", printed)
    outcomes = pd.read_csv(project.root / "reports/transfer/outcomes.csv")
    assert len(outcomes) == 2 * (1 + 2 * 6)
    _, *seeds = project.runs("transfer")
    assert [run.info.run_name for run in seeds] == ["seed-0", "seed-1"]
    assert "full_3_target_test" in seeds[0].data.metrics


def test_a_recipe_is_a_stage_of_its_own_pipeline(project: Clone) -> None:
    recipe = project.root / "recipes/article-003.yaml"
    text = recipe.read_text().replace("source: mnist", "source: mnist-5k")
    recipe.write_text(
        text.replace("epochs: 5 ", "epochs: 1 ").replace("epochs: 5\n", "epochs: 1\n")
    )
    project.call("dvc", "repro", "recipes/dvc.yaml:recipe@article-003")
    results = pd.read_csv(project.root / "recipes/results/article-003.csv")
    assert results["seed"].tolist() == [0, 1, 2]
    assert (results["correct"] > 800).all()
    assert (results["n"] == 1000).all()
    parent, *seeds = project.runs("recipes")
    assert parent.info.run_name == "article-003"
    assert [run.info.run_name for run in seeds] == ["seed-0", "seed-1", "seed-2"]
    accuracies = [run.data.metrics["test_accuracy"] for run in seeds]
    assert accuracies == pytest.approx((results["correct"] / 1000).tolist())
