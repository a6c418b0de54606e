"""Sweeps by their commands, in a clone: with DVC, Optuna, MLflow and worker processes."""

import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from benchmarks.chaos import STUDY, sweep_in_chaos
from src.config.parsing import read
from src.config.values import value_at
from tests.browser import Visitor
from tests.clones import Clone, clone
from tests.conftest import ROOT
from tests.test_architecture import reached

TUNE = ("python", "-m", "src.tune")
PROMOTE = ("python", "-m", "src.promote")
TWO_THREADS = ("threads: 1", "threads: 2")
INTERRUPTED = (*TUNE, "--study", "interrupted", "--seed", "5", "--trials", "6", "--workers", "2")
VALUES = [  # columns with a trial's values and results
    "state",
    "val_loss",
    "train.optimizer.learning_rate",
    "train.batch_size",
    "model.kernel_sizes.0",
    "model.kernel_sizes.1",
]


def small_clone(to: Path) -> Clone:
    """A clone that sweeps on the smaller of the two embedded data sets."""
    made = clone(to)
    write(made, "target: optdigits", "target: mnist-5k")
    write(made, "source: mnist-5k", "source: optdigits")
    return made


def write(project: Clone, old: str, new: str) -> None:
    """Change the first such line of params.yaml."""
    params = project.root / "params.yaml"
    text = params.read_text()
    assert old in text
    params.write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the first command is a sweep of four trials."""
    made = small_clone(tmp_path_factory.mktemp("swept"))
    # Two threads, as the last bits then differ from those of a worker with one thread.
    write(made, *TWO_THREADS)
    made.commit()
    document, printed = made.document(*TUNE, "--trials", "4", "--workers", "2")
    assert "Running stage 'preprocess'" in printed
    assert "study sweep: 4 of 4 trials finished" in printed
    assert document["trials_complete"] + document["trials_pruned"] == 4
    assert document["written"] == ["reports/tune/sweep.csv", "reports/tune/sweep"]
    made.commit()
    return made


@pytest.fixture
def project(swept: Clone) -> Iterator[Clone]:
    """The clone; changes to its tracked files are undone after the test."""
    yield swept
    swept.call("git", "checkout", "--quiet", ".")


@pytest.fixture
def single(project: Clone) -> Clone:
    """The clone for studies that train with one thread, which takes less time."""
    write(project, *reversed(TWO_THREADS))
    return project


@pytest.fixture(scope="module")
def interrupted(swept: Clone) -> str:
    """What a command with another seed prints, of which Ctrl-C leaves a study of its name."""
    process = swept.start(*INTERRUPTED)
    wait_for_trial(process)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    return printed


def trials(project: Clone, study: str = "sweep") -> pd.DataFrame:
    return pd.read_csv(project.root / f"reports/tune/{study}.csv")


def finished(project: Clone, study: str) -> int:
    return int(trials(project, study)["state"].isin(["complete", "pruned"]).sum())


def assert_nothing_runs(project: Clone, study: str) -> None:
    """Neither in Optuna nor in MLflow, and the two agree on every trial."""
    rows = trials(project, study)
    assert not set(rows["state"]) - {"complete", "pruned", "failed"}
    (parent,) = (run for run in project.runs("tune") if run.info.run_name == study)
    children = [
        run
        for run in project.runs("tune")
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    ]
    states = {run.info.run_name: run.data.tags["state"] for run in children}
    assert states == {f"trial-{row.trial}": row.state for row in rows.itertuples()}
    assert len(children) == len(rows)
    assert {parent.info.status, *(run.info.status for run in children)} <= {"FINISHED", "FAILED"}


def test_a_sweep_has_a_run_for_the_study_and_one_for_each_trial(project: Clone) -> None:
    assert_nothing_runs(project, "sweep")
    runs = {run.info.run_name: run for run in project.runs("tune")}
    parent = runs["sweep"]
    best = trials(project)["val_loss"].min()
    assert parent.data.metrics["best_val_loss"] == best
    assert parent.data.tags["git.commit"]
    assert parent.data.tags["upstream.preprocess"]
    for row in trials(project).itertuples():
        run = runs[f"trial-{row.trial}"]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.params["train.epochs"] == "2"
        assert "train.optimizer.learning_rate" in run.data.params
        assert "model.kernel_sizes.1" in run.data.params
        assert {"train_loss", "val_loss", "val_accuracy"} <= set(run.data.metrics)
        if row.state == "complete":
            assert run.data.metrics["kept_val_loss"] == row.val_loss


def test_its_page_can_be_read_by_everybody(page: Visitor, project: Clone) -> None:
    page.look(project.root / "reports/tune/index.html")
    assert page.page.locator("svg").count() == 3
    words = page.page.locator("section").first.inner_text()
    assert "4 of 4 trials finished" in words
    assert "wins with the lowest mean loss" in words


def test_the_train_stage_reproduces_the_promoted_trial(project: Clone) -> None:
    before = (project.root / "params.yaml").read_text()
    confirmed = pd.read_csv(project.root / "reports/tune/sweep/confirmation.csv")
    means = confirmed.query("seed > 0").groupby("candidate")["val_loss"].mean()
    winner = str(means.drop("params.yaml").idxmin())
    shown = project.here("src.promote", "--dry-run")
    assert f"params.yaml with {winner}" in shown
    assert (project.root / "params.yaml").read_text() == before

    document, printed = project.document(*PROMOTE)
    assert printed == shown
    assert document["promoted"] == document["winner"] == winner
    assert {one["name"]: one["val_loss"] for one in document["candidates"]} == pytest.approx(
        {**means}
    )
    assert document["written"] == ["params.yaml"]
    row = trials(project).set_index("trial").loc[int(winner.removeprefix("trial "))]
    tree = read(project.root / "params.yaml")
    names = ["train.optimizer.learning_rate", "train.batch_size", "model.kernel_sizes.0"]
    assert [value_at(tree, name) for name in names] == [row[name] for name in names]
    after = (project.root / "params.yaml").read_text()
    assert len(after.splitlines()) == len(before.splitlines())

    assert "train" in project.stages_run("dvc", "repro", "train")
    last = pd.read_csv(project.root / "reports/train.csv").iloc[-1]
    (expected,) = confirmed.query("candidate == @winner and seed == 0").itertuples()
    assert last["val_loss"] == expected.val_loss
    assert last["val_accuracy"] == expected.val_accuracy
    (run,) = (run for run in project.runs() if run.data.tags["dvc.stage"] == "train")
    assert run.data.metrics["kept_val_loss"] == expected.val_loss


def test_a_sweep_opens_no_test_image(project: Clone) -> None:
    assert project.test_readers() <= {"pipeline.evaluate"}


def test_no_code_reached_by_a_sweep_mentions_the_test_images() -> None:
    for module in {
        *reached(Path("src/tune/__main__.py")),
        *reached(Path("src/execution/worker.py")),
        *reached(Path("src/promote.py")),
    }:
        if module != Path("src/core/paths.py"):
            assert not re.search(r"\bTEST\b", (ROOT / module).read_text()), module


def test_a_study_is_not_mixed_with_other_parameters_or_data(project: Clone) -> None:
    params = project.root / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace("epochs: 2", "epochs: 3", 1))
    for command in ("src.tune.__main__", "src.promote"):
        printed = project.here(command, fails=True)
        assert (
            "study sweep: train.epochs has changed from 2 to 3 since the study was created"
            in printed
        )
        assert len(printed.splitlines()) == 1
    params.write_text(text.replace("val_fraction: 0.1", "val_fraction: 0.2"))
    assert "study sweep: data.val_fraction has changed" in project.call(*TUNE, fails=True)
    params.write_text(text)
    loop = project.root / "src/training/fit.py"
    code = loop.read_text()
    loop.write_text(code + "# another loop\n")
    assert "study sweep: src/training has changed" in project.here("src.tune.__main__", fails=True)
    loop.write_text(code)
    project.here("src.tune.__main__", "--trials", "1")


def test_an_interrupted_command_ends_in_one_line_and_can_continue(
    single: Clone, interrupted: str
) -> None:
    assert "Traceback" not in interrupted
    assert interrupted.splitlines()[-1] == "interrupted"
    done = trials(single, "interrupted").query("state == 'complete'")
    assert 1 <= len(done) < 6
    assert "6 of 6 trials finished" in single.call(*INTERRUPTED)
    again = trials(single, "interrupted").loc[done.index]
    pd.testing.assert_frame_equal(again[VALUES], done[VALUES], check_dtype=False)
    assert finished(single, "interrupted") == 6
    assert_nothing_runs(single, "interrupted")


def test_a_bug_in_a_worker_keeps_its_traceback(single: Clone) -> None:
    with (single.root / "src/training/fit.py").open("a") as code:
        code.write('\n\ndef fit(*_: object) -> None:\n    raise KeyError("logits")\n')
    command = (*TUNE, "--study", "bug", "--trials", "1", "--workers", "1")
    printed = single.call(*command, fails=True)
    assert "error: 10 trials failed, the last because KeyError: 'logits'" in printed
    assert "Run the same command again" not in printed  # narrow the space, says the error
    assert printed.count("Traceback (most recent call last)") == 10
    assert 'raise KeyError("logits")' in printed
    assert set(trials(single, "bug")["reason"]) == {"KeyError: 'logits'"}
    assert_nothing_runs(single, "bug")
    failed = [run for run in single.runs("tune") if run.data.tags.get("reason", "")[:3] == "Key"]
    assert len(failed) == 10
    for run in failed:
        artifacts = Path(str(run.info.artifact_uri).removeprefix("file://"))
        assert "in fit" in (artifacts / "traceback.txt").read_text()


def wait_for_trial(process: subprocess.Popen[str]) -> None:
    """Read the output of the process until its first trial has ended."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("trial-0 "):
            return
    raise AssertionError("no trial")


def test_a_study_is_exact_after_many_kills(single: Clone) -> None:
    """Workers and the command itself are killed by SIGKILL, and the command is run again."""
    write(single, "epochs: 2", "epochs: 6")  # long enough to be killed
    killed, printed = sweep_in_chaos(single, trials=8, every=3.0, commands=1, workers=2)
    assert killed["workers"] == 2
    assert killed["commands"] == 1
    assert finished(single, STUDY) == 8
    assert_nothing_runs(single, STUDY)
    rows = trials(single, STUDY)
    assert (rows["state"] == "failed").sum() >= 1
    whole = rows[rows["state"] == "complete"]
    assert not whole.duplicated(VALUES).any()
    for number, loss in re.findall(r"trial-(\d+) +complete  val loss ([\d.]+)", printed):
        (row,) = whole[whole["trial"] == int(number)].itertuples()
        assert row.val_loss == pytest.approx(float(loss), abs=1e-4)
    assert not [p for p in psutil.process_iter() if str(single.root) == _folder(p)]


def _folder(process: psutil.Process) -> str | None:
    try:
        return process.cwd()
    except psutil.Error:
        return None


def test_processes_may_start_a_study_together_without_data_or_database(tmp_path: Path) -> None:
    made = small_clone(tmp_path)
    command = (*TUNE, "--study", "crowd", "--trials", "4", "--workers", "1")
    processes = [made.start(*command) for _ in range(2)]
    printed = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 2, "\n".join(printed)
    assert not any("Traceback" in text for text in printed)
    assert finished(made, "crowd") == 4
    assert_nothing_runs(made, "crowd")
    assert Counter(trials(made, "crowd")["state"])["failed"] == 0
    assert "\n".join(printed).count("Running stage 'preprocess'") == 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ((*TUNE, "--trials", "0"), "--trials: should be a whole number of at least 1, not '0'"),
        ((*TUNE, "--workers", "two"), "--workers: should be a whole number of at least 1"),
        ((*TUNE, "--seed", "-1"), "--seed: should be a whole number below 2^32, not '-1'"),
        ((*TUNE, "--timeout", "soon"), "--timeout: should be a number of seconds, not 'soon'"),
        ((*TUNE, "--study", "../x"), "--study: should be letters, digits, dashes and"),
        ((*TUNE, "--trails", "5"), "unrecognized arguments: --trails 5"),
        ((*TUNE, "--seed", "9"), "--seed: study sweep has seed 0, not 9"),
    ],
)
def test_bad_arguments_are_reported_in_one_line(
    project: Clone, command: tuple[str, ...], message: str
) -> None:
    printed = project.here("src.tune.__main__", *command[len(TUNE) :], fails=True)
    assert printed.startswith("error: ")
    assert message in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("src.tune.__main__", ["--storage", "nonsense"], "--storage nonsense: "),
        ("src.promote", ["--study", "none"], "study none: not found (existing studies: "),
    ],
)
def test_a_study_that_cannot_be_opened_is_refused_in_one_line(
    project: Clone, module: str, arguments: list[str], message: str
) -> None:
    printed = project.here(module, *arguments, fails=True)
    assert printed.startswith(f"error: {message}")
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize("command", ["tune", "promote"])
def test_help_imports_no_framework(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"src.{command}", "--help"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "usage: python -m src." in done.stdout
    for slow in ("torch", "optuna", "mlflow", "pandas", "numpy", "pydantic"):
        assert f"| {slow}" not in done.stderr.replace("  ", " "), slow


@pytest.mark.usefixtures("interrupted")
def test_two_sweeps_with_one_seed_are_identical_whatever_their_workers(single: Clone) -> None:
    with single.shuffled_tests():
        single.call(*TUNE, "--study", "again", "--trials", "4", "--workers", "1")
    first, again = trials(single).head(4), trials(single, "again")
    pd.testing.assert_frame_equal(first[VALUES], again[VALUES])
    # The first trial has the present parameters.
    drawn, other = (
        set(trials(single, study)["train.optimizer.learning_rate"][1:])
        for study in ("again", "interrupted")
    )
    assert drawn.isdisjoint(other)
