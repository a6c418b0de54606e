"""Tracking against a real store, with real processes."""

import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from mlflow import MlflowClient
from ruamel.yaml import YAML
from safetensors.torch import save_file

from src.core.errors import UserError
from src.core.progress import Epoch
from src.tracking import provenance
from src.tracking.runs import track
from src.tracking.store import close_abandoned_runs
from tests.tracking.conftest import STAGES, client, runs, script


def test_a_run_holds_what_it_is_told(project: Path) -> None:
    save_file({}, project / "out.safetensors")
    with track("first", {"seed": 0, "train": {"optimizer": {"name": "adam"}}}) as tracked:
        for number in (1, 2):
            tracked.on_epoch(Epoch(number, 0.5 / number, 0.4, 0.9, 0.01, 1000.0))
        tracked.file(project / "out.safetensors")
    (run,) = runs(project)
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.params == {"seed": "0", "train.optimizer.name": "adam"}
    assert run.data.metrics["train_loss"] == 0.25
    store = client(project)
    history = store.get_metric_history(run.info.run_id, "train_loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]
    assert [file.path for file in store.list_artifacts(run.info.run_id)] == ["out.safetensors"]
    assert run.info.artifact_uri.startswith((project / "mlartifacts").as_uri())


def test_more_parameters_than_fit_into_one_request_are_kept(project: Path) -> None:
    with track("first", {f"key{number}": number for number in range(250)}):
        pass
    assert len(runs(project)[0].data.params) == 250


def test_a_failing_stage_leaves_a_failed_run_with_its_reason(project: Path) -> None:
    with pytest.raises(UserError), track("first", {}):
        raise UserError("params.yaml: seed: missing")
    (run,) = runs(project)
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "UserError: params.yaml: seed: missing"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stage_asked_to_stop_closes_its_run(project: Path, number: int) -> None:
    process = script(project, "time.sleep(60)")
    assert process.stdout
    process.stdout.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "Traceback" not in errors
    assert runs(project)[0].info.status == "KILLED"


def test_the_run_of_a_killed_process_is_closed_at_the_next_start(project: Path) -> None:
    """While its parent has not yet missed it, too."""
    process = script(project, "os.kill(os.getpid(), signal.SIGKILL)")
    assert process.stdout
    assert process.stdout.read() == "ready\n"
    assert [run.info.status for run in runs(project)] == ["RUNNING"]
    with track("first", {}):
        pass
    assert [run.info.status for run in runs(project)] == ["KILLED", "FINISHED"]
    process.communicate()


def test_a_killed_run_can_be_closed_without_a_stage(project: Path) -> None:
    script(project, "os.kill(os.getpid(), signal.SIGKILL)").communicate(timeout=30)
    close_abandoned_runs()
    assert [run.info.status for run in runs(project)] == ["KILLED"]


def test_the_run_of_a_living_process_is_left_alone(project: Path) -> None:
    with track("first", {}), track("first", {}):
        assert [run.info.status for run in runs(project)] == ["RUNNING", "RUNNING"]


def test_kept_is_the_epoch_whose_weights_are_kept(project: Path) -> None:
    with track("first", {}) as tracked:
        tracked.metrics(Epoch(7, 0.5, 0.4, 0.9, 0.01, 1000.0).as_kept())
    metrics = runs(project)[0].data.metrics
    assert metrics == {"kept_epoch": 7, "kept_val_loss": 0.4, "kept_val_accuracy": 0.9}


@pytest.fixture
def repository(project: Path) -> Path:
    """The project with its code committed."""
    (project / "src").mkdir()
    (project / "src" / "module.py").touch()
    git(project, "init")
    git(project, "add", "src", "dvc.yaml")
    git(project, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--message", "t")
    return project


def git(project: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=project, check=True, capture_output=True)


def test_uncommitted_code_is_told(repository: Path) -> None:
    for changed in ("params.yaml", "src/module.py"):
        with (repository / changed).open("a") as file:
            file.write("# changed\n")
        with track("first", {}):
            pass
    assert [run.data.tags["git.dirty"] for run in runs(repository)] == ["false", "true"]


def test_no_setting_of_the_person_hides_uncommitted_code(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repository, "config", "status.showUntrackedFiles", "no")
    (repository / "hidden").write_text("*.py\n")
    git(repository, "config", "core.excludesFile", str(repository / "hidden"))
    monkeypatch.setenv("GIT_DIR", "elsewhere")
    assert provenance.code_tags()["git.dirty"] == "false"
    (repository / "src" / "new.py").touch()
    assert provenance.code_tags()["git.dirty"] == "true"


def test_the_commit_of_somebody_elses_checkout_is_known(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    refused = subprocess.run(["git", "status"], cwd=repository, capture_output=True, text=True)
    assert "dubious ownership" in refused.stderr
    assert len(provenance.code_tags()["git.commit"]) == 40


def test_a_missing_commit_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert provenance.code_tags() == {}
    assert capsys.readouterr().err.startswith(
        "warning: runs here do not name the commit of their code: not a git repository"
    )


def test_an_experiment_that_dvc_will_not_keep_is_told(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / ".git").mkdir()
    (project / ".git/shallow").touch()
    provenance.warn_of_shallow_clone()
    assert capsys.readouterr().err == ""
    (project / "copy").mkdir()
    monkeypatch.chdir(project / "copy")
    provenance.warn_of_shallow_clone()
    assert "keeps no experiment in a shallow clone" in capsys.readouterr().err


def test_an_upstream_run_is_one_that_finished(project: Path) -> None:
    both = STAGES + "  second:\n    cmd: true\n    params: [seed]\n    deps: [out.safetensors]\n"
    (project / "dvc.yaml").write_text(both)
    (project / "out.safetensors").touch()
    with track("first", {}) as made_it:
        pass
    with pytest.raises(UserError), track("first", {}):
        raise UserError("interrupted later")
    execution = provenance.running("first")
    entry = {
        "cmd": execution.cmd,
        "deps": [{"path": path, "md5": md5} for path, md5 in execution.deps.items()],
        "params": {"params.yaml": dict(execution.params)},
    }
    YAML().dump({"stages": {"first": entry}}, project / "dvc.lock")
    with track("second", {}):
        pass
    assert runs(project)[-1].data.tags["upstream.first"] == made_it.run_id


def test_another_database_keeps_its_artifacts_in_the_root_too(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    (project / "elsewhere").mkdir()
    for name in ("dvc.yaml", "params.yaml", "code.py"):
        (project / "elsewhere" / name).write_text((project / name).read_text())
    monkeypatch.chdir(project / "elsewhere")
    with track("first", {}):
        pass
    (run,) = MlflowClient(f"sqlite:///{project / 'other.db'}").search_runs(["1"])
    assert run.info.artifact_uri.startswith((project / "mlartifacts").as_uri())


def test_a_missing_dependency_is_named(project: Path) -> None:
    (project / "code.py").unlink()
    with (
        pytest.raises(UserError, match=r"code\.py: not found; `dvc repro` makes it"),
        track("first", {}),
    ):
        pass


def test_checkouts_may_start_together_on_a_shared_store_that_is_not_there_yet(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project / 'shared.db'}")
    processes = []
    for name in ("a", "b", "c"):
        (project / name).mkdir()
        for file in ("dvc.yaml", "params.yaml", "code.py"):
            shutil.copy(project / file, project / name)
        monkeypatch.setenv("DVC_ROOT", str(project / name))
        processes.append(script(project / name, "pass"))
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    found = MlflowClient(f"sqlite:///{project / 'shared.db'}").search_runs(["1"])
    assert [run.info.status for run in found] == ["FINISHED"] * 3


def test_the_hash_covers_command_dependencies_and_parameters(project: Path) -> None:
    def tag() -> str:
        with track("first", {}):
            pass
        return str(runs(project)[-1].data.tags["dvc.stage_hash"])

    hashes = [tag(), tag()]
    assert hashes[0] == hashes[1]
    (project / "code.py").write_text("pass\n")
    hashes.append(tag())
    (project / "params.yaml").write_text("seed: 1\n")
    hashes.append(tag())
    (project / "dvc.yaml").write_text(STAGES.replace("first.py", "second.py"))
    hashes.append(tag())
    assert len(set(hashes)) == 4
    (project / "params.yaml").write_text("seed: 1 # the same value\n")
    assert tag() == hashes[-1]


def test_what_decides_a_result_is_its_data_and_its_code() -> None:
    deps = {
        "data/tensors/source/train.safetensors": "1",
        "src/training": "2",
        "pipeline/train.py": "3",
    }
    execution = provenance.Execution("python first.py", deps, {})
    assert execution.data() == {"data/tensors/source/train.safetensors": "1"}
    assert execution.code() == {"src/training": "2"}


def test_code_that_cannot_change_a_result_is_left_out_of_its_folder(project: Path) -> None:
    both = STAGES.replace("deps: [code.py]", "deps: [code]")
    (project / "dvc.yaml").write_text(both)
    (project / ".dvcignore").write_text("code/errors.py\n")
    (project / "code").mkdir()
    hashes = []
    for path, text in (("fit.py", "1"), ("errors.py", "1"), ("errors.py", "2"), ("fit.py", "2")):
        (project / "code" / path).write_text(text)
        hashes.append(provenance.running("first").deps["code"])
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


def test_a_bug_leaves_its_traceback_on_stderr_and_in_the_run(project: Path) -> None:
    _, errors = script(project, "{}['logits']").communicate(timeout=60)
    assert errors.rstrip().endswith("KeyError: 'logits'")
    assert "Traceback" in errors
    (run,) = runs(project)
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "KeyError: 'logits'"
    kept = (project / "mlartifacts" / run.info.run_id / "artifacts/traceback.txt").read_text()
    assert "KeyError: 'logits'" in kept
    assert "Traceback" in kept


def test_a_refusal_is_the_tag_of_its_run_without_a_traceback(project: Path) -> None:
    with pytest.raises(UserError), track("first", {}):
        raise UserError("file: wrong")
    (run,) = runs(project)
    assert run.data.tags["error"] == "UserError: file: wrong"
    assert not list(project.rglob("traceback.txt"))
