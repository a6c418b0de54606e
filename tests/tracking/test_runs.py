"""Tracking against a real store, with real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from safetensors.torch import save_file

from src.errors import UserError
from src.tracking.runs import track
from src.training.reporting import Epoch
from tests.conftest import ROOT

STAGES = """\
stages:
  first:
    cmd: python first.py
    params: [seed]
    deps: [code.py]
    outs: [out.safetensors]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one stage, and the working directory in it."""
    (tmp_path / "dvc.yaml").write_text(STAGES)
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    (tmp_path / "code.py").touch()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runs(project: Path) -> list[Run]:
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pipeline")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], order_by=["start_time ASC"]))


def script(project: Path, body: str) -> subprocess.Popen[str]:
    """A process of its own, inside `track`; it prints `ready` and runs `body`."""
    code = (
        "import os, signal, sys, time\n"
        "from src.command import run\n"
        "from src.tracking.runs import track\n"
        "def main():\n"
        "    with track('first', {}) as tracked:\n"
        "        print('ready', flush=True)\n"
        f"        {body}\n"
        "run(main)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["out.safetensors"]
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
    process = script(project, "os.kill(os.getpid(), signal.SIGKILL)")
    process.communicate(timeout=30)
    assert [run.info.status for run in runs(project)] == ["RUNNING"]
    with track("first", {}):
        pass
    assert [run.info.status for run in runs(project)] == ["KILLED", "FINISHED"]


def test_the_run_of_a_living_process_is_left_alone(project: Path) -> None:
    with track("first", {}), track("first", {}):
        assert [run.info.status for run in runs(project)] == ["RUNNING", "RUNNING"]


def test_processes_may_start_together_on_nothing(project: Path) -> None:
    processes = [script(project, "pass") for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert [run.info.status for run in runs(project)] == ["FINISHED"] * 4


def test_an_unreachable_server_is_told_in_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with (
        pytest.raises(UserError, match="MLflow at http://127") as refusal,
        track("first", {}),
    ):
        pass
    assert "\n" not in str(refusal.value)


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
