"""Studies by their commands, in a clone that has their data."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from tests.browser import Visitor
from tests.clones import Clone, clone
from tests.rays import Cluster, ray_cluster

COMPLETE = " complete  val loss "  # in the line of a training


@dataclass(frozen=True)
class Study:
    """What is left of a command that was killed and called again, and then ran undisturbed."""

    project: Clone
    experiment: str
    arguments: tuple[str, ...]
    folder: Path  # with its tables
    trainings: int
    lost: str  # printed when its workers were killed
    document: Any  # of the second call
    printed: str  # by it, for people
    resumed: dict[str, str]  # tables
    undisturbed: dict[str, str]  # tables


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone with tensors, and no models: no study needs those of the pipeline."""
    made = clone(tmp_path_factory.mktemp("prepared"))
    made.call("dvc", "repro", "preprocess")
    made.commit()
    return made


@pytest.fixture(scope="module")
def crossval(prepared: Clone) -> Study:
    """Undisturbed, it has test images with other labels, which may change nothing."""
    before = prepared.test_readers()
    shuffled = prepared.shuffled_tests()
    found = killed_and_called_again(prepared, "crossval", 3, "--folds", "3", undisturbed=shuffled)
    assert prepared.test_readers() == before
    return found


@pytest.fixture(scope="module")
def transfer(prepared: Clone) -> Study:
    return killed_and_called_again(prepared, "transfer", 14, "--seeds", "2", "--labels", "1")


@pytest.fixture(scope="module")
def recipe(prepared: Clone) -> Iterator[Study]:
    """One that trains for an epoch on the embedded digits."""
    path = prepared.root / "recipes/article-003.yaml"
    text = path.read_text().replace("source: mnist", "source: mnist-5k")
    text = text.replace("epochs: 5 ", "epochs: 1 ").replace("epochs: 5\n", "epochs: 1\n")
    path.write_text(text.replace("threads: 2", "threads: 1"))
    for others in (prepared.root / "recipes/results").glob("*.csv"):
        others.unlink()
    yield killed_and_called_again(prepared, "recipes", 3, "article-003")
    prepared.call("git", "checkout", "--quiet", ".")


def killed_and_called_again(
    project: Clone,
    experiment: str,
    trainings: int,
    *arguments: str,
    undisturbed: AbstractContextManager[object] | None = None,
) -> Study:
    command = ("python", "-m", f"src.{experiment}", *arguments)
    folder = project.root / (
        "recipes/results" if experiment == "recipes" else f"reports/{experiment}"
    )
    lost = kill_in_the_middle(project, *command)
    document, printed = project.document(*command, "--workers", "2")
    resumed = tables(folder)
    shutil.rmtree(project.root / "data/trainings")
    for path in resumed:
        (folder / path).unlink()
    with undisturbed or nullcontext():
        project.here(f"src.{experiment}.__main__", *arguments, "--workers", "1")
    alone = tables(folder)
    return Study(
        project, experiment, arguments, folder, trainings, lost, document, printed, resumed, alone
    )


def tables(folder: Path) -> dict[str, str]:
    """The tables in a folder, without times, and its text."""
    found = {}
    for path in sorted(folder.glob("*.csv")):
        table = pd.read_csv(path, dtype=str)
        timed = ["seconds_per_epoch", "seconds", "alone"]
        found[path.name] = table.drop(columns=timed, errors="ignore").to_csv()
    assert found
    return found | {path.name: path.read_text() for path in folder.glob("*.md")}


def kill_in_the_middle(project: Clone, *command: str) -> str:
    """SIGKILL for the workers after the first training, and for the command after another one.

    Returns what is told of a lost worker.
    """
    process = project.start(*command, "--workers", "2")
    assert process.stdout is not None
    wait_for(process.stdout, COMPLETE)
    told = threading.Event()
    killer = threading.Thread(target=keep_killing_workers, args=(process.pid, told))
    killer.start()
    # A result that was already on its way may be told before.
    lost = wait_for(process.stdout, "will be run again")
    told.set()
    killer.join()
    wait_for(process.stdout, COMPLETE)
    workers = psutil.Process(process.pid).children()
    process.kill()
    process.communicate()
    assert not psutil.wait_procs(workers, timeout=30)[1]
    return lost


def keep_killing_workers(pid: int, told: threading.Event) -> None:
    """More than once: at the first time all may be between two trainings."""
    while not told.is_set():
        for worker in psutil.Process(pid).children():
            worker.kill()
        told.wait(0.5)


def wait_for(output: Iterator[str], text: str) -> str:
    """The next line with the text."""
    lines = []
    for line in output:
        lines.append(line)
        if text in line:
            return line
    raise AssertionError("".join(lines))


@pytest.fixture(params=["crossval", "transfer", "recipe"])
def study(request: pytest.FixtureRequest) -> Study:
    found: Study = request.getfixturevalue(request.param)
    return found


def test_a_training_whose_worker_is_killed_is_run_again(study: Study) -> None:
    assert "lack of memory; it will be run again" in study.lost


def test_a_killed_study_goes_on_where_it_was(study: Study) -> None:
    done = sum(map(int, re.findall(r"(\d+) of \d+ trainings are done", study.printed)))
    assert 2 <= done <= study.trainings  # two may end at the same moment
    assert study.printed.count(" complete  val loss ") == study.trainings - done


def test_its_tables_are_those_of_an_undisturbed_one_whatever_the_workers(study: Study) -> None:
    assert study.resumed == study.undisturbed


def test_a_study_has_a_run_and_one_below_it_for_each_training(study: Study) -> None:
    parent, *children = sorted(
        study.project.runs(study.experiment), key=lambda run: "mlflow.parentRunId" in run.data.tags
    )
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert len({run.info.run_name for run in children}) == len(children) == study.trainings
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}


def test_a_cross_validation_predicts_every_image_once(crossval: Study) -> None:
    assert "3 folds: accuracy" in crossval.printed
    told = "of 4000 images, each predicted by a model that was not trained on it"
    assert told in crossval.printed
    table = pd.read_csv(crossval.folder / "folds.csv")
    assert table["n"].tolist() == [1334, 1333, 1333, 4000]
    assert [fold["loss"] for fold in crossval.document["folds"]] == table["loss"].tolist()
    assert crossval.document["accuracy"] == table["accuracy"].iloc[-1]
    assert crossval.document["written"] == ["reports/crossval"]
    assert "written to reports/crossval" in crossval.printed
    runs = {run.info.run_name: run.data for run in crossval.project.runs("crossval")}
    assert runs["crossval"].metrics["accuracy"] == pytest.approx(table["accuracy"].iloc[-1])
    first = runs["fold-1"]
    assert first.metrics["held_out_accuracy"] == pytest.approx(table["accuracy"].iloc[0])
    assert (first.params["kind"], first.params["train.epochs"]) == ("Fold", "2")
    issues = pd.read_csv(crossval.folder / "label_issues.csv")
    assert set(issues["split"]) <= {"train", "val"}
    assert (issues["label"] != issues["suggested"]).all()


def test_too_many_folds_are_refused_before_there_is_a_run(crossval: Study) -> None:
    before = len(crossval.project.runs("crossval"))
    printed = crossval.project.here("src.crossval.__main__", "--folds", "99999", fails=True)
    assert printed.startswith("error: --folds: should be at most ")
    assert len(crossval.project.runs("crossval")) == before


def test_transfer_methods_are_compared_in_one_table(transfer: Study) -> None:
    assert re.search(r"\| labels per class +\| 0 +\| 1 +\|", transfer.printed)
    outcomes = pd.read_csv(transfer.folder / "outcomes.csv")
    assert len(outcomes) == 2 * (1 + 6)
    told = {row["method"]: row for row in transfer.document["methods"]}
    means = outcomes.groupby("method")["target_test"].mean()
    assert {name: row["target_test"] for name, row in told.items()} == pytest.approx({**means})
    assert told["zero-shot"]["gain"] is None
    assert told["full"]["gain_lo"] < told["full"]["gain"] < told["full"]["gain_hi"]
    runs = {run.info.run_name: run.data for run in transfer.project.runs("transfer")}
    row = outcomes.query("seed == 1 and method == 'full'").iloc[0]
    assert runs["seed-1-full-1"].metrics["target_test_accuracy"] == row["target_test"]
    assert runs["seed-1-full-1"].metrics["source_test_accuracy"] == row["source_test"]
    assert runs["seed-1-full-1"].params["train.strategy"] == "full"


def test_a_recipe_is_a_stage_of_its_own_pipeline(recipe: Study) -> None:
    results = recipe.folder / "article-003.csv"
    assert set(pd.read_csv(results)["alone"]) == {True}
    recipe.project.call("dvc", "repro", "recipes/dvc.yaml:recipe@article-003")
    table = pd.read_csv(results)
    assert table["seed"].tolist() == [0, 1, 2]
    assert (table["correct"] > 800).all()
    assert (table["n"] == 1000).all()
    trainings = recipe.document["trainings"]
    assert [row["correct"] for row in trainings] == table["correct"].tolist()
    assert all(row["accuracy_lo"] < row["accuracy"] < row["accuracy_hi"] for row in trainings)
    assert {row["seconds"] for row in trainings} == {None}  # two workers disturb each other
    printed = recipe.project.here("src.recipes.__main__", "--table", "--json")
    compared = json.loads(printed[printed.index("\n{") :])
    assert compared["recipes"][0]["accuracy"] == pytest.approx((table["correct"] / 1000).mean())
    runs = {run.info.run_name: run.data for run in recipe.project.runs("recipes")}
    accuracies = [runs[f"seed-{seed}"].metrics["source_test_accuracy"] for seed in range(3)]
    assert accuracies == pytest.approx((table["correct"] / 1000).tolist())


def test_its_page_can_be_read_by_everybody(page: Visitor, study: Study) -> None:
    path = study.project.root / f"reports/{study.experiment}/index.html"
    page.look(path)
    assert page.page.locator("svg").count() == 1
    assert page.page.locator("table").count() >= 1
    if study.experiment != "recipes":
        assert f"The page: {path.relative_to(study.project.root)}" in study.printed


@pytest.fixture(scope="module")
def cluster(prepared: Clone) -> Iterator[Cluster]:
    """With one node for one worker."""
    with ray_cluster(prepared.root) as made:
        made.add("one")
        yield made


def test_one_worker_on_a_cluster_makes_the_same_tables(study: Study, cluster: Cluster) -> None:
    on_cluster = ("--cluster", cluster.address, "--workers", "1")
    module = f"src.{study.experiment}.__main__"
    printed = study.project.here(module, *study.arguments, *on_cluster)
    assert printed.count(COMPLETE) == study.trainings
    assert tables(study.folder) == study.undisturbed
    children = [run for run in study.project.runs(study.experiment) if "node" in run.data.tags]
    assert len(children) == study.trainings
    assert {run.data.tags["node"] for run in children} == {"one"}
