"""Where the store is: odd and moved places, databases of others, servers that are away."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from filelock import FileLock

from src.core.errors import UserError
from src.tracking.runs import track
from src.tracking.store import close_abandoned_runs, opened
from src.tune.storage import open_storage
from tests.conftest import ROOT
from tests.postgres import Server
from tests.tracking.conftest import client, enter, runs, script

REFUSED = "127.0.0.1:9"  # nobody listens there


def kept_files(root: Path) -> list[list[str]]:
    """For each run, the files that MLflow finds."""
    with opened("pipeline") as (client, _):
        return [
            [file.path for file in client.list_artifacts(run.info.run_id)] for run in runs(root)
        ]


def keep_a_file(root: Path) -> None:
    (root / "note.txt").write_text("kept")
    with track("first", {}) as tracked:
        tracked.file(root / "note.txt")


def test_runs_find_their_files_where_the_checkout_has_moved(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_a_file(project)
    moved = project.rename(tmp_path / "moved")
    enter(moved, monkeypatch)
    keep_a_file(moved)
    assert kept_files(moved) == [["note.txt"], ["note.txt"]]
    assert not project.exists()
    assert len(list((moved / "mlartifacts").iterdir())) == 2


def test_a_copy_of_a_checkout_leaves_the_original_alone(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_a_file(project)
    copy = Path(shutil.copytree(project, tmp_path / "copy"))
    enter(copy, monkeypatch)
    keep_a_file(copy)
    assert kept_files(copy) == [["note.txt"], ["note.txt"]]
    assert len(list((project / "mlartifacts").iterdir())) == 1
    enter(project, monkeypatch)
    assert kept_files(project) == [["note.txt"]]


def test_files_of_another_checkout_stay_where_they_are(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps its runs in this one's database."""
    other = Path(shutil.copytree(project, tmp_path / "other"))
    enter(other, monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project / 'mlflow.db'}")
    keep_a_file(other)
    enter(project, monkeypatch)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert kept_files(project) == [["note.txt"]]


def test_a_checkout_may_be_below_a_folder_with_any_name(project: Path) -> None:
    odd = project.parent / 'what? it\'s "50%20off" #1 & 数字'
    odd.mkdir()
    checkout = project.rename(odd / "checkout")
    (checkout / "mlflow.db").unlink()
    code = (
        "from src.tracking.runs import track\n"
        "from src.tracking.store import opened\n"
        "with track('first', {}) as tracked:\n"
        "    tracked.file(tracked_file := __import__('pathlib').Path('code.py'))\n"
        "with opened('pipeline') as (client, _):\n"
        "    print([file.path for file in client.list_artifacts(tracked.run_id)])\n"
    )
    env = {**os.environ, "DVC_ROOT": str(checkout), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, env=env, capture_output=True, text=True
    )
    assert done.stdout == "['code.py']\n", done.stderr
    assert [path.name for path in odd.iterdir()] == ["checkout"]
    assert [path.name for path in odd.parent.iterdir()] == [odd.name]
    assert {"mlflow.db", "mlartifacts"} < {path.name for path in checkout.iterdir()}
    assert [run.info.status for run in runs(checkout.rename(project))] == ["FINISHED"]


def test_the_database_of_a_sweep_is_not_mlflows(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optuna.create_study(storage=f"sqlite:///{project / 'optuna.db'}")
    before = (project / "optuna.db").read_bytes()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///optuna.db")
    with pytest.raises(UserError, match=r"optuna\.db: has the tables of another program"):
        close_abandoned_runs()
    assert (project / "optuna.db").read_bytes() == before


@pytest.mark.parametrize(
    "uri",
    [
        f"http://me:hunter2@{REFUSED}",
        f"postgresql+psycopg://me:hunter2@{REFUSED}/runs",
        f"postgresql+psycopg://me@{REFUSED}/runs?password=hunter2",
        f"mysql+nodriver://me:hunter2@{REFUSED}/runs",
    ],
)
def test_a_store_that_is_away_is_told_at_once_and_without_its_password(
    project: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match=r"^MLflow at \S+: .") as refusal:
        close_abandoned_runs()
    assert "hunter2" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_password_among_the_arguments_does_not_reach_the_run(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys, "orig_argv", ["python", "-m", "x", "--storage", "postgresql://me:hunter2@db/studies"]
    )
    with pytest.raises(UserError), track("first", {}):
        raise UserError("--storage postgresql://me:hunter2@db/studies: refused")
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        assert "hunter2" not in "".join(database.iterdump())


def test_a_deleted_experiment_can_be_brought_back_as_told(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with track("first", {}):
        pass
    client(project).delete_experiment("1")
    with pytest.raises(UserError, match="was deleted; bring it back with") as refusal:
        close_abandoned_runs()
    setting, *command = str(refusal.value).partition("bring it back with ")[2].split()
    monkeypatch.setenv(*setting.split("="))
    subprocess.run([Path(sys.executable).with_name(command[0]), *command[1:]], check=True)
    close_abandoned_runs()


def test_a_damaged_database_is_told_in_one_line(project: Path) -> None:
    (project / "mlflow.db").write_text("not a database at all " * 100)
    process = script(project, "pass")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith("error: MLflow at sqlite:///")
    assert "Traceback" not in errors


def test_runs_are_kept_in_postgresql_too(
    project: Path,
    postgres: Server,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Also while its server is away for a time."""
    url = postgres.create("runs")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    with track("first", {"seed": 0}) as tracked:
        postgres.stop()
        tracked.metrics({"loss": 0.5})
        postgres.start()
    with opened("pipeline") as (store, _):
        run = store.get_run(tracked.run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"loss": 0.5})
    assert "The work goes on" in capfd.readouterr().err


def test_a_study_in_mlflows_postgresql_is_refused(
    project: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.create("refused")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    close_abandoned_runs()
    with pytest.raises(UserError, match=r"--storage postgresql.*another program"):
        open_storage(url, project / "optuna.log", FileLock(project / "optuna.lock"))
