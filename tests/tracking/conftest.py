"""What the tests of tracking share: a small repository with a real store."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

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
def project(tmp_path: Path, tracking_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one stage in the folder `here`, no run yet, and the working directory."""
    root = tmp_path / "here"
    root.mkdir()
    shutil.copy(tracking_database, root)
    (root / "dvc.yaml").write_text(STAGES)
    (root / "params.yaml").write_text("seed: 0\n")
    (root / "code.py").touch()
    enter(root, monkeypatch)
    return root


def enter(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in this repository."""
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.chdir(root)


def client(project: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project / 'mlflow.db'}")


def runs(project: Path, experiment: str = "pipeline") -> list[Run]:
    """All of an experiment, the oldest first."""
    found = client(project).get_experiment_by_name(experiment)
    assert found is not None
    return list(client(project).search_runs([found.experiment_id], order_by=["start_time ASC"]))


def script(project: Path, body: str) -> subprocess.Popen[str]:
    """A process of its own, inside `track`; it prints `ready` and runs `body`."""
    code = (
        "import os, signal, sys, time\n"
        # A test runner in the background passes an ignored signal on.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from src.core.cli import run\n"
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
