"""The whole pipeline, shrunk, in a clone of the working tree: DVC, MLflow and all."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from ruamel.yaml import YAML
from safetensors.torch import load_file

from tests.clones import STAGES, Clone, clone

REHEARSAL = "finetune.rehearsal=1.0"


@dataclass(frozen=True)
class Experiment:
    """What `dvc exp run` did: the stages it executed, their runs, and what there was at the end."""

    stages: list[str]
    runs: list[Run]
    outputs: dict[str, str]


def experiment(project: Clone, *options: str) -> Experiment:
    before = len(project.runs())
    stages = project.stages_run("dvc", "exp", "run", *options)
    return Experiment(stages, project.runs()[before:], project.outputs())


@pytest.fixture
def project(finished: Clone) -> Iterator[Clone]:
    """The finished clone; what a test changes in its tracked files is taken back."""
    yield finished
    finished.reset()


@pytest.fixture(scope="module")
def rehearsed(finished: Clone) -> Experiment:
    """An experiment with another fine-tuning, which has been taken back."""
    done = experiment(finished, "-S", REHEARSAL)
    finished.reset()
    return done


@pytest.fixture(scope="module")
def same_data(finished: Clone) -> Experiment:
    """An experiment in a temporary copy: the target is the source."""
    return experiment(finished, "--temp", "-S", "data.target=mnist-5k")


def test_the_stages_leave_what_the_contract_names(project: Clone) -> None:
    for dataset in ("mnist-5k", "optdigits"):
        names = sorted(path.name for path in (project.root / "data/raw" / dataset).iterdir())
        assert names == [
            "t10k-images-idx3-ubyte.gz",
            "t10k-labels-idx1-ubyte.gz",
            "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte.gz",
        ]
    test = load_file(project.root / "data/tensors/source/test.safetensors")
    assert test["images"].shape == (1000, 1, 28, 28)
    metrics = json.loads((project.root / "reports/metrics.json").read_text())
    assert {(model, role) for model in metrics for role in metrics[model]} == {
        (model, role) for model in ("base", "finetuned") for role in ("source", "target")
    }
    for tests in metrics.values():
        assert (tests["source"]["n"], tests["target"]["n"]) == (1000, 355)
        for leaf in tests.values():
            assert leaf["accuracy_lo"] <= leaf["accuracy"] <= leaf["accuracy_hi"]


def test_the_evaluation_agrees_with_itself(project: Clone) -> None:
    folder = project.root / "reports/evaluation"
    metrics = json.loads((project.root / "reports/metrics.json").read_text())
    table = pd.read_csv(folder / "predictions_finetuned_target.csv", dtype=str)
    accuracy = (table["actual"] == table["predicted"]).mean()
    assert accuracy == metrics["finetuned"]["target"]["accuracy"]
    rows = pd.read_csv(folder / "accuracy.csv", index_col=["model", "test"])
    assert rows.loc[("finetuned", "target"), "accuracy"] == accuracy
    assert rows.loc[("base", "target"), "loss"] == metrics["base"]["target"]["loss"]
    assert ("scratch", "target") in rows.index
    per_class = pd.read_csv(folder / "per_class.csv")
    assert len(per_class) == 5 * 10
    pictures = {path.name for path in folder.glob("*.svg")}
    assert {"confusion_base_source.svg", "curves.svg", "mistakes_base_source.svg"} <= pictures


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_makes_the_same_bytes_from_nothing_but_its_dependencies(
    finished: Clone,
    tracking_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    """In another clone, and process: what it reads beside them would be missing."""
    alone = clone(tmp_path)
    shutil.copy(tracking_database, alone.root)
    shutil.copy(finished.root / "dvc.lock", alone.root)
    stages = YAML(typ="safe", pure=True).load(finished.root / "dvc.yaml")["stages"]
    for dep in stages[stage]["deps"]:
        if not dep.startswith(("src/", "pipeline/")):
            (alone.root / dep).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (finished.root / dep).is_dir() else shutil.copy
            copy(finished.root / dep, alone.root / dep)
    monkeypatch.chdir(alone.root)
    monkeypatch.setenv("DVC_ROOT", str(alone.root))
    import_module(f"pipeline.{stage}").main()
    for out in [*stages[stage]["outs"], *stages[stage].get("metrics", ())]:
        assert contents(alone.root / out) == contents(finished.root / out)


def contents(path: Path) -> dict[str, bytes]:
    """What a file has in it, or each file of a folder."""
    files = [file for file in [path, *path.rglob("*")] if file.is_file()]
    assert files
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def test_the_report_is_built_again_to_the_same_bytes(project: Clone) -> None:
    report = project.root / "reports/index.html"
    before = report.read_bytes()
    report.unlink()
    assert "The page: reports/index.html" in project.here("src.report")
    assert report.read_bytes() == before
    table = project.root / "reports/evaluation/accuracy.csv"
    content = table.read_bytes()
    try:
        table.chmod(0o644)
        table.write_bytes(b"damaged")
        printed = project.here("src.report", fails=True)
        assert printed == (
            "error: reports/evaluation: not what dvc.lock records; run `dvc repro`\n"
        )
    finally:
        table.write_bytes(content)


def test_only_evaluate_opens_test_images_once_they_are_made(project: Clone) -> None:
    assert project.test_readers() == {"pipeline.evaluate"}


def test_a_second_repro_runs_nothing(project: Clone) -> None:
    before = len(project.runs())
    assert project.stages_run("dvc", "repro") == []
    assert len(project.runs()) == before


def test_every_stage_has_a_run_linked_to_those_it_stands_on(project: Clone) -> None:
    runs = {run.info.run_name: run for run in project.runs()[: len(STAGES)]}
    assert list(runs) == STAGES
    commit = project.call("git", "rev-list", "--max-parents=0", "HEAD").strip()
    for stage, run in runs.items():
        assert run.info.status == "FINISHED"
        assert run.data.tags["dvc.stage"] == stage
        assert run.data.tags["git.commit"] == commit
        assert run.data.tags["git.dirty"] == "false"
    for stage, above in (
        ("preprocess", {"download"}),
        ("train", {"preprocess"}),
        ("finetune", {"preprocess", "train"}),
        ("compress", {"preprocess", "train", "finetune"}),
        ("evaluate", {"preprocess", "train", "finetune", "compress"}),
    ):
        tags = runs[stage].data.tags
        upstream = {
            tag.removeprefix("upstream."): run
            for tag, run in tags.items()
            if tag.startswith("upstream.")
        }
        assert upstream == {name: runs[name].info.run_id for name in above}


def test_input_tags_are_the_hashes_that_dvc_records(project: Clone) -> None:
    """Of the folder data/raw, too; so a stage's own hash is that in the lock file."""
    lock = YAML(typ="safe", pure=True).load(project.root / "dvc.lock")
    deps = {dep["path"]: dep["md5"] for each in lock["stages"].values() for dep in each["deps"]}
    for run in project.runs()[: len(STAGES)]:
        for tag, md5 in run.data.tags.items():
            if tag.startswith("input."):
                assert md5 == deps[tag.removeprefix("input.")], tag


def test_the_evaluate_run_has_every_parameter_and_metric(project: Clone) -> None:
    run = project.runs()[5]
    metrics = json.loads((project.root / "reports/metrics.json").read_text())
    for model, tests in metrics.items():
        for role, leaves in tests.items():
            for name, value in leaves.items() - {("n", leaves["n"])}:
                assert run.data.metrics[f"{model}_{role}_{name}"] == value
    # The first is what MLflow compares runs by: no count.
    assert min(run.data.metrics) == "base_source_accuracy"
    assert run.data.params["train.optimizer.learning_rate"] == "0.003"
    assert run.data.params["data.target"] == "optdigits"
    assert run.data.params["finetune.strategy"] == "discriminative"


def test_epochs_are_in_the_train_run(project: Clone) -> None:
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    history = pd.read_csv(project.root / "reports/train.csv")
    run_id = project.runs()[2].info.run_id
    for name in ("train_loss", "val_loss", "val_accuracy"):
        points = client.get_metric_history(run_id, name)
        assert [point.step for point in points] == history["epoch"].tolist()
        assert [point.value for point in points] == pytest.approx(history[name].tolist())


def test_a_comment_makes_nothing_stale(project: Clone) -> None:
    params = project.root / "params.yaml"
    params.write_text("# a remark\n" + params.read_text())
    assert project.stale() == set()


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("pipeline/preprocess.py", {"preprocess"}),
        ("src/data/overview.py", set(STAGES)),
        ("src/models/cnn.py", set(STAGES[2:])),
        ("src/training/fit.py", {"train", "finetune", "compress"}),
        ("src/evaluation/metrics.py", {"evaluate"}),
        ("src/pages/page.html", {"evaluate"}),
        ("src/core/errors.py", set()),
        ("src/tracking/runs.py", set()),
        ("src/tune/study.py", set()),
    ],
)
def test_a_changed_module_makes_the_stages_stale_whose_result_it_can_change(
    project: Clone, module: str, stages: set[str]
) -> None:
    with (project.root / module).open("a") as file:
        file.write("\n# touched\n")
    assert project.stale() == stages


def test_a_bad_value_is_refused_before_any_stage_works(tmp_path: Path) -> None:
    fresh = clone(tmp_path)
    params = fresh.root / "params.yaml"
    params.write_text(params.read_text().replace("labels_per_class: 5", "labels_per_class: 0"))
    printed = fresh.call("dvc", "repro", fails=True)
    assert "params.yaml: finetune.labels_per_class: should be all or a whole number" in printed
    assert "Traceback" not in printed
    assert not (fresh.root / "data").exists()


def test_an_experiment_reruns_what_reads_the_value_and_a_cached_one_nothing(
    project: Clone, rehearsed: Experiment
) -> None:
    assert rehearsed.stages == STAGES[3:]
    names = [str(run.info.run_name).split() for run in rehearsed.runs]
    name = rehearsed.runs[0].data.tags["dvc.exp"]
    assert names == [[stage, name, REHEARSAL] for stage in STAGES[3:]]
    assert rehearsed.runs[0].data.params["finetune.rehearsal"] == "1.0"
    assert all("dvc.exp" in run.data.tags for run in rehearsed.runs)
    # preprocess was not run again: its run is still found by what it made.
    tags = rehearsed.runs[0].data.tags
    assert tags["upstream.preprocess"] == project.runs()[1].info.run_id
    # Back, and forth again: DVC's cache has both, so neither leaves a run.
    before = len(project.runs())
    assert project.stages_run("dvc", "repro") == []
    assert len(project.runs()) == before
    assert experiment(project, "-S", REHEARSAL) == Experiment([], [], rehearsed.outputs)


def assert_tracked_here(project: Clone, elsewhere: Experiment, stages: list[str]) -> None:
    """In the project itself: DVC ran the stages in a copy of it."""
    assert [run.data.tags["dvc.stage"] for run in elsewhere.runs] == stages
    for above, run in pairwise(elsewhere.runs):
        assert run.data.tags[f"upstream.{above.data.tags['dvc.stage']}"] == above.info.run_id
    artifacts = (project.root / "mlartifacts").as_uri()
    assert all(run.info.artifact_uri.startswith(artifacts) for run in elsewhere.runs)
    assert not list((project.root / ".dvc/tmp").rglob("mlflow.db"))


def test_an_experiment_in_a_temporary_copy_is_tracked_here(
    project: Clone, same_data: Experiment
) -> None:
    # The source's images, and so the base model, are what they were.
    assert_tracked_here(project, same_data, [stage for stage in STAGES if stage != "train"])


def test_a_queued_experiment_is_tracked_here(project: Clone) -> None:
    before = len(project.runs())
    project.call("dvc", "exp", "run", "--queue", "-S", "train.label_smoothing=0.02", "finetune")
    assert len(project.runs()) == before
    assert_tracked_here(project, experiment(project, "--run-all"), ["train", "finetune"])


def test_metrics_and_plots_can_be_shown(project: Clone) -> None:
    assert "finetuned.target" in project.call("dvc", "metrics", "show").replace("\n", "")
    printed = project.call("dvc", "plots", "show")
    page = Path(printed.strip().removeprefix("file://"))
    assert page.is_file()
    assert list(page.parent.rglob("*curves.svg"))


def test_source_and_target_may_be_the_same_data(project: Clone, same_data: Experiment) -> None:
    metrics = same_data.runs[-1].data.metrics
    for model in ("base", "finetuned"):
        leaves = json.loads((project.root / "reports/metrics.json").read_text())[model]["source"]
        for name in leaves.keys() - {"n"}:
            assert metrics[f"{model}_source_{name}"] == metrics[f"{model}_target_{name}"]


def test_two_pipelines_are_compared_image_by_image(project: Clone, rehearsed: Experiment) -> None:
    before, after = project.outputs(), rehearsed.outputs
    assert after["models/finetuned.safetensors"] != before["models/finetuned.safetensors"]
    assert after["models/scratch.safetensors"] == before["models/scratch.safetensors"]
    first, last = project.runs()[5], rehearsed.runs[-1]
    experiment = last.data.tags["dvc.exp"]
    printed = project.call("python", "-m", "src.compare", first.info.run_id, experiment)
    was, became = (run.data.metrics["finetuned_target_accuracy"] for run in (first, last))
    told = f"finetuned on target, B against A: {100 * (became - was):+.2f} points"
    assert any(line.startswith(told) for line in printed.splitlines())
    assert printed.endswith("scratch on target, B against A: the same predictions\n")


@pytest.mark.parametrize(
    ("command", "wrong", "message"),
    [
        ("src.crossval", ["--folds", "1"], "--folds: should be at least 2"),
        (
            "src.transfer",
            ["--labels", "1,x"],
            "--labels: should be whole numbers of at least 1, or all",
        ),
        ("src.transfer", ["--labels", "1,1"], "--labels: should differ from each other"),
        ("src.compare", ["one"], "PIPELINE: should be 2 to 26, not 1"),
        ("src.recipes", ["nothing"], "NAME: should be one of article-000, article-001"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(
    project: Clone, command: str, wrong: list[str], message: str
) -> None:
    printed = project.call("python", "-m", command, *wrong, fails=True)
    assert message in printed
    assert len(printed.splitlines()) == 1
