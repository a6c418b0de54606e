"""Custom data through everything: the pipeline, a sweep, the reports."""

import json
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from safetensors.torch import load_file

from tests.clones import STAGES, Clone, clone
from tests.custom import write_custom

PRINTED = ".dvc/tmp/printed"
SIGNS = ["a", "US$ 5", "停 <b>"]
LETTERS = [chr(ord("a") + place) for place in range(26)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The pipeline, run from 26 classes in 32x32 to other classes, another size, and colour."""
    made = clone(tmp_path_factory.mktemp("own"))
    outside = tmp_path_factory.mktemp("elsewhere")
    write_custom(outside / "letters", classes=26, size=32, each=20, names=LETTERS)
    write_custom(made.root / "data/signs", size=16, channels=3, each=20, names=SIGNS, inverted=True)
    params = made.root / "params.yaml"
    text = params.read_text().replace("mnist-5k", f"folder:{outside / 'letters'}")
    text = text.replace("target: optdigits", "target: folder:data/signs")
    params.write_text(text.replace("epochs: 2", "epochs: 12").replace("class: 5", "class: all"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONIOENCODING", "ascii")  # a terminal that lacks some letters
        printed = made.call("dvc", "repro")
    assert [stage for stage in STAGES if f"Running stage '{stage}'" in printed] == STAGES
    (made.root / PRINTED).write_text(printed)
    return made


def test_the_models_learn_their_data(project: Clone) -> None:
    metrics = json.loads((project.root / "reports/metrics.json").read_text())
    assert metrics["base"]["source"]["n"] == 260
    assert metrics["base"]["source"]["accuracy"] > 0.5
    assert metrics["finetuned"]["target"]["n"] == 30
    assert metrics["finetuned"]["target"]["accuracy"] > 0.5
    # The classes have one name in common, a, so the base model can read no other.
    assert metrics["base"]["target"]["accuracy"] <= 1 / 3


def test_images_that_are_dark_on_light_are_doubted_wherever_results_are_read(
    project: Clone,
) -> None:
    """In the terminal, the reports, the metrics, and in MLflow; beside doubts about copies."""
    doubt = "data.target (folder:data/signs): the images look dark on light"
    assert (project.root / PRINTED).read_text().count(f"warning: {doubt}") == 2  # evaluate, too
    told = pd.read_csv(project.root / "reports/data/warnings.csv")
    assert told["role"].tolist() == ["source", "target", "target"]
    assert told["warning"].str.startswith(doubt).sum() == 1
    assert told["warning"].str.contains("test images are training or validation images").sum() == 2
    metrics = json.loads((project.root / "reports/metrics.json").read_text())
    assert metrics["finetuned"]["target"]["data_warnings"] == 2
    assert metrics["finetuned"]["source"]["data_warnings"] == 1
    logged = {run.data.tags["dvc.stage"]: run.data.metrics for run in project.runs()}
    assert logged["preprocess"]["target_warnings"] == 2
    assert logged["evaluate"]["finetuned_target_data_warnings"] == 2


def test_the_target_is_brought_to_the_size_and_colour_of_the_source(project: Clone) -> None:
    for role, images in (("source", 260), ("target", 30)):
        test = load_file(project.root / f"data/tensors/{role}/test.safetensors")
        assert test["images"].shape == (images, 1, 32, 32)


def test_the_reports_name_the_classes(project: Clone) -> None:
    folder = project.root / "reports"
    counts = pd.read_csv(folder / "data/source/class_counts.csv")
    assert counts["class"].tolist() == LETTERS
    predicted = pd.read_csv(folder / "evaluation/predictions_finetuned_target.csv")
    assert set(predicted["actual"]) == {*SIGNS}
    assert (folder / "evaluation/label_issues_source.svg").exists()


def test_a_second_repro_runs_nothing(project: Clone) -> None:
    assert project.stages_run("dvc", "repro") == []


def test_a_sweep_of_three_trials_ends_with_a_winner(project: Clone) -> None:
    printed = project.call("python", "-m", "src.tune", "--trials", "3", "--workers", "1")
    assert "3 of 3 trials finished" in printed
    assert "wins with the lowest mean loss" in printed
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tune")
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 4


def test_a_changed_folder_is_reported(project: Clone) -> None:
    assert project.call("python", "-m", "src.check_params") == ""
    path = project.root / "data/signs/classes.txt"
    path.write_text("a\nhalt\ngo\n")
    printed = project.call("python", "-m", "src.check_params", fails=True)
    assert "data/signs: changed since it was copied" in printed
    assert "Traceback" not in printed
    path.write_text("a\nstop\ngo\n")


def test_a_folder_that_is_not_there_is_refused_before_any_stage_works(tmp_path: Path) -> None:
    fresh = clone(tmp_path)
    params = fresh.root / "params.yaml"
    params.write_text(params.read_text().replace("mnist-5k", "folder:nowhere"))
    printed = fresh.call("dvc", "repro", fails=True)
    assert "nowhere: not found; folder:PATH should name a folder with IDX files" in printed
    assert "Traceback" not in printed
