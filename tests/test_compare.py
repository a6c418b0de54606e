"""src.compare on pipelines of which it is known how they differ."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from ruamel.yaml import YAML

from src.compare import words
from src.core.errors import UserError
from src.core.finding import Finding
from tests.clones import STAGES, Clone
from tests.test_lineage import changed

TESTS = ["base on source", "finetuned on source"] + [
    f"{model} on target" for model in ("base", "finetuned", "scratch")
]
PREDICTIONS = "evaluation/predictions_base_source.csv"
METRICS = "reports/metrics.json"
SAME = "nothing differs: the same parameters, metrics and predictions\n"


@pytest.fixture(scope="module")
def project(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the finished clone, with three more pipelines.

    `narrow` is an experiment with another architecture, `seed` a branch with another seed, and
    `data` a run with other data.
    """
    made = Clone(tmp_path_factory.mktemp("compare") / "copy")
    shutil.copytree(finished.root, made.root)
    with pytest.MonkeyPatch.context() as patch:
        # What takes long, and no comparison reads.
        patch.setattr("src.core.finding.save_figure", lambda *_: None)
        for analysis in ("robustness", "attributions", "features"):
            patch.setattr(f"pipeline.evaluate.{analysis}", lambda *_: Finding())
        run(made, "[4, 8]", "[4, 4]", *STAGES[2:])
        made.call("dvc", "commit", "--force", "--quiet")
        made.call("dvc", "exp", "save", "--name", "narrow")
        made.reset()
        run(made, "target: optdigits", "target: mnist-5k", "preprocess", "evaluate")
        rename(made, made.runs()[-1].info.run_id, "data")
        made.reset()
        made.call("git", "checkout", "--quiet", "-b", "seed")
        run(made, "seed: 0", "seed: 1", *STAGES[1:])
        made.call("dvc", "commit", "--force", "--quiet")
        made.commit()
    made.call("git", "checkout", "--quiet", "main")
    made.call("dvc", "checkout", "--quiet", "--force")
    return made


def run(project: Clone, before: str, after: str, *stages: str) -> None:
    """These stages, in this process, with a changed params.yaml."""
    params = project.root / "params.yaml"
    assert before in params.read_text()
    params.write_text(params.read_text().replace(before, after))
    for stage in stages:
        project.here(f"pipeline.{stage}")


def store(project: Clone) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")


def rename(project: Clone, run_id: str, name: str) -> None:
    store(project).set_tag(run_id, "mlflow.runName", name)


def compared(project: Clone, *names: str, fails: bool = False) -> str:
    return project.here("src.compare.__main__", *names, fails=fails)


def refused(project: Clone, *names: str) -> str:
    """The one line that names what is wrong."""
    printed = compared(project, *names, fails=True)
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    return printed


def tree(project: Clone, *names: str) -> dict[str, Any]:
    printed = compared(project, *names, "--json")
    found: dict[str, Any] = json.loads(printed[printed.index("\n{") :])  # after what is on stderr
    return found


def cached(project: Clone, md5: str) -> Path:
    file = project.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    file.chmod(0o644)
    return file


def verdicts(printed: str) -> dict[str, str]:
    """By model and test set, what is said of them."""
    lines = (line.partition(", ") for line in printed.splitlines())
    return {subject: said for subject, _, said in lines if subject in TESTS}


def made_by(project: Clone, commit: str, path: str) -> Path:
    """An output of evaluate in DVC's cache, as a commit's dvc.lock names it."""
    lock = YAML(typ="safe", pure=True).load(project.call("git", "show", f"{commit}:dvc.lock"))
    outs = {out["path"]: out["md5"] for out in lock["stages"]["evaluate"]["outs"]}
    return cached(project, outs[path])


def accuracy(project: Clone, commit: str, model: str, test: str) -> float:
    metrics = json.loads(made_by(project, commit, "reports/metrics.json").read_text())
    value: float = metrics[model][test]["accuracy"]
    return value


@pytest.mark.parametrize("name", ["HEAD", "main", "workspace", "params.yaml", "RUN"])
def test_what_is_the_same_does_not_differ(project: Clone, name: str) -> None:
    """However it is named."""
    name = name.replace("RUN", project.runs()[5].info.run_id[:12])
    printed = compared(project, "HEAD", name)
    assert printed.startswith("A is HEAD: commit ")
    assert printed.endswith(SAME)
    assert printed.count("\n") == 3


def test_another_seed_is_compared_on_the_same_images(project: Clone) -> None:
    """Although other pixels' mean and deviation are in the files with the test images."""
    printed = compared(project, "HEAD", "seed")
    assert [line.split() for line in printed.splitlines() if line.startswith("seed")] == [
        ["seed", "0", "1"]
    ]
    assert "not comparable" not in printed
    told = verdicts(printed)
    assert [*told] == TESTS
    before, after = (accuracy(project, name, "base", "source") for name in ("HEAD", "seed"))
    assert told["base on source"].startswith(
        f"B against A: {100 * (after - before):+.2f} points (95 % interval "
    )
    assert "McNemar's p" in told["base on source"]
    row = next(line.split() for line in printed.splitlines() if "base.source.accuracy " in line)
    assert row[1:] == [f"{before:.4g}", f"{after:.4g}", f"{after - before:+.2g}"]


def test_other_data_are_not_compared_and_it_is_said_why(project: Clone) -> None:
    printed = compared(project, "workspace", "data")
    assert "data.target  optdigits  mnist-5k" in printed
    assert (
        "\non target, not comparable: the test images of A and of B differ: data.target is "
        "optdigits in A, mnist-5k in B\n"
    ) in printed
    assert verdicts(printed) == {
        test: "B against A: the same predictions" for test in TESTS if test.endswith("source")
    }
    row = next(line.split() for line in printed.splitlines() if "base.target.accuracy " in line)
    assert row[-1] == "-"


def test_data_that_changed_behind_one_name_are_not_compared(project: Clone) -> None:
    run = project.runs()[5]
    store(project).set_tag(run.info.run_id, "test.source", "of other images")
    found = tree(project, "HEAD", run.info.run_id)
    printed = compared(project, "HEAD", run.info.run_id)
    store(project).set_tag(run.info.run_id, "test.source", run.data.tags["test.source"])
    assert found["not_comparable"] == [
        {"test": "source", "groups": [["A"], ["B"]], "because_of": []}
    ]
    assert {each["test"] for each in found["contests"]} == {"target"}
    assert "differ: their parameters are the same, so their files or the code" in printed


def test_an_experiment_with_another_architecture_is_compared(project: Clone) -> None:
    printed = compared(project, "HEAD", "narrow")
    rows = [line.split("  ") for line in printed.splitlines() if line.startswith("model.")]
    assert rows == [["model.channels", "[4, 8]", "[4, 4]"]]
    assert [*verdicts(printed)] == TESTS
    assert "the same predictions" not in printed


def test_a_params_file_leads_to_the_latest_run_with_its_values(project: Clone) -> None:
    """Also from another folder, and whatever it says of a sweep."""
    text = (
        (project.root / "params.yaml").read_text().replace("target: optdigits", "target: mnist-5k")
    )
    (project.root / "data/other.yaml").write_text(text.replace("sampler: tpe", "sampler: grid"))
    printed = compared(project, "data", "data/other.yaml")
    assert printed.endswith(SAME)
    assert "\nB is data/other.yaml: run " in printed


def test_of_three_each_is_compared_with_the_best(project: Clone) -> None:
    found = tree(project, "narrow", "HEAD", "seed")
    assert found["pipelines"]["A"]["parameters"]["train.optimizer.learning_rate"] == 0.003
    assert found["parameters"] == {
        "seed": {"A": 0, "B": 0, "C": 1},
        "model.channels": {"A": [4, 4], "B": [4, 8], "C": [4, 8]},
    }
    assert found["not_comparable"] == []
    assert not found["nothing_differs"]
    assert [f"{each['model']} on {each['test']}" for each in found["contests"]] == TESTS
    commits = {letter: each["commit"] for letter, each in found["pipelines"].items()}
    contest = found["contests"][3]
    accuracies = {name: each["value"] for name, each in contest["accuracies"].items()}
    assert accuracies == {
        letter: accuracy(project, commit, "finetuned", "target")
        for letter, commit in commits.items()
    }
    best = max(accuracies, key=lambda name: accuracies[name])
    assert contest["reference"] == best
    assert {*contest["rivals"]} == {*"ABC"} - {best}
    for name, rival in contest["rivals"].items():
        assert rival["difference"] == pytest.approx(accuracies[name] - accuracies[best])
        assert rival["p"] <= rival["p_holm"] <= min(1, 3 * rival["p"])


def test_three_are_shown_in_tables_as_wide_as_the_terminal(
    project: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "width", lambda _: 70)
    printed = compared(project, "narrow", "HEAD", "data")
    assert printed.isascii()
    parts = printed.split("\n\n")
    [ranking] = [part for part in parts if part.startswith("base on source:")]
    tables = [part for part in parts if "\n--" in part]
    assert len(tables) == 4  # parameters, metrics, and two models on the source
    assert all(len(line) <= 70 for part in tables for line in part.splitlines())
    assert "accuracy (95 % interval)" in ranking
    assert [ranking.count(word) for word in ("the best", "predictions")] == [1, 1]
    assert "the test images of A, B and of C differ" in printed
    assert "B against A: " in verdicts(printed)["base on target"]


def run_of(project: Clone, name: str) -> Run:
    [found] = [run for run in project.runs() if run.info.run_name == name]
    return found


def test_an_evaluation_that_failed_is_named_with_the_reason(project: Clone) -> None:
    with (
        changed(project.root / "models/scratch.safetensors", b"cut off"),
        pytest.raises(UserError),
    ):
        project.here("pipeline.evaluate")
    run = project.runs()[-1].info.run_id
    told = f"error: {run}: this run of evaluate is FAILED, not FINISHED: UserError: models/scratch"
    assert refused(project, "HEAD", run).startswith(told)


def test_a_deleted_run_is_named_with_the_command_that_restores_it(project: Clone) -> None:
    run = run_of(project, "data").info.run_id
    store(project).delete_run(run)
    told = refused(project, "HEAD", "data")
    assert f"data: deleted in MLflow; `mlflow runs restore --run-id {run}` brings it back" in told
    store(project).restore_run(run)
    assert "A is HEAD" in compared(project, "HEAD", "data")


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("metrics.json", b"{", "error: data: files of run RUN are missing or damaged in MLflow ("),
        ("metrics.json", None, "error: data: files of run RUN are missing or damaged in MLflow ("),
        ("evaluation", None, "error: data: files of run RUN are missing or damaged in MLflow ("),
        (PREDICTIONS, b"\x80\x04", "RUN/evaluation/predictions_base_source.csv: not a table of"),
        (PREDICTIONS, b"actual\n1\n", "RUN/evaluation/predictions_base_source.csv: not a table"),
        (PREDICTIONS, b"actual,predicted\n1,1\n", "predictions_base_source.csv of B: other images"),
    ],
)
def test_damaged_files_of_a_run_are_named(
    project: Clone, file: str, content: bytes | None, told: str
) -> None:
    """None: the file is missing."""
    run = run_of(project, "data")
    path = project.root / "mlartifacts" / run.info.run_id / "artifacts" / file
    away = path.rename(project.root / "data/away")
    if content is not None:
        path.write_bytes(content)
    assert told.replace("RUN", run.info.run_id) in refused(project, "HEAD", "data")
    away.replace(path)


def test_damaged_files_in_the_cache_are_named(project: Clone) -> None:
    folder, narrow = "reports/evaluation", commit_of(project, "narrow")
    listed = json.loads(made_by(project, narrow, folder).read_text())
    member = next(each for each in listed if each["relpath"] == "predictions_base_source.csv")
    for file, path in (
        (made_by(project, narrow, METRICS), METRICS),
        (made_by(project, narrow, folder), folder),
        (cached(project, member["md5"]), f"{folder}/predictions_base_source.csv"),
    ):
        with changed(file, b"damaged"):
            assert refused(project, "HEAD", "narrow") == (
                f"error: narrow: {path} is neither here nor in DVC's cache as it was made; "
                "`dvc pull` or `dvc repro` there brings it back\n"
            )
    # Here they still are.
    with changed(made_by(project, "HEAD", METRICS), b"damaged"):
        assert compared(project, "HEAD", "workspace").endswith(SAME)


def commit_of(project: Clone, experiment: str) -> str:
    commit: str = tree(project, experiment, "HEAD")["pipelines"]["A"]["commit"]
    return commit


def test_results_of_other_parameters_or_inputs_are_refused(project: Clone) -> None:
    params, lock = project.root / "params.yaml", project.root / "dvc.lock"
    with changed(params, params.read_bytes().replace(b"seed: 0", b"seed: 3")):
        assert refused(project, "HEAD", "workspace") == (
            "error: workspace: seed was 0 when the results were made, and is 3 in params.yaml; "
            "`dvc repro` there makes them anew\n"
        )
        assert "no finished evaluate run has its parameters" in refused(
            project, "HEAD", "params.yaml"
        )
    trained = project.outputs()["models/base.safetensors"].encode()
    with changed(lock, lock.read_bytes().replace(trained, trained[::-1], 1)):
        assert refused(project, "HEAD", "workspace") == (
            "error: workspace: evaluate has not run since train changed models/base.safetensors; "
            "`dvc repro` there runs it\n"
        )
    with changed(lock, b"stages: {}"):
        assert "workspace: no stage evaluate in dvc.lock" in refused(project, "HEAD", "workspace")
    with changed(lock, b"stages: ["):
        assert "error: workspace: dvc.lock: line 1:" in refused(project, "HEAD", "workspace")


def test_a_name_of_nothing_or_of_several_things_is_refused(project: Clone) -> None:
    twins = project.runs()[:2]
    for run in twins:
        rename(project, run.info.run_id, "twin")
    for name, runs in (("nothing", 0), ("", 0), ("twin", 2)):
        told = refused(project, "HEAD", name)
        assert f"{name!r}: should be a revision in git, a DVC experiment, workspace, a " in told
        assert f"one run in MLflow, not of {runs}" in told
    for run in twins:
        rename(project, run.info.run_id, str(run.info.run_name))
    root = project.call("git", "rev-list", "--max-parents=0", "HEAD").strip()
    assert f"{root}: commit {root[:12]} has no dvc.lock" in refused(project, "HEAD", root)
    assert "error: none.yaml: not found" in refused(project, "HEAD", "none.yaml")
    head = project.call("git", "rev-parse", "HEAD").strip()
    project.call("git", "update-ref", f"refs/exps/aa/{head[2:]}/narrow", head)
    told = refused(project, "HEAD", "narrow")
    assert "error: narrow: 2 experiments have this name; give the commit of one: " in told
    project.call("git", "update-ref", "-d", f"refs/exps/aa/{head[2:]}/narrow")
    other = run_of(project, "data").info.run_id
    rename(project, other, head[:9])
    assert f"{head[:9]}: names a commit and a run in MLflow" in refused(project, "HEAD", head[:9])
    rename(project, other, "data")
