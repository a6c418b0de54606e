"""A store that is busy or away, and processes that are gone: no run is lost, and none stays open.

The store is made to fail as a locked database does, but at once: one of its tables is away.
"""

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient

from src.core.progress import Epoch
from src.tracking import courier, outbox
from src.tracking.runs import track
from src.tracking.store import close_abandoned_runs
from tests.tracking.conftest import client, enter, runs, script


@contextmanager
def away(project: Path, table: str) -> Iterator[None]:
    """MLflow cannot use a table of its database."""
    rename(project, table, f"{table}_away")
    try:
        yield
    finally:
        rename(project, f"{table}_away", table)


def rename(project: Path, table: str, to: str) -> None:
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        database.execute("PRAGMA legacy_alter_table = ON")  # leaves references to it alone
        database.execute(f"ALTER TABLE {table} RENAME TO {to}")


def epoch(number: int) -> Epoch:
    return Epoch(number, 0.5, 0.4, 0.9, 0.01, 1000.0)


def folders(project: Path) -> list[Path]:
    return list((project / ".dvc/tmp/idxflow-runs").iterdir())


def test_what_a_busy_store_misses_is_delivered_by_the_same_process(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(courier, "PAUSE", 0.0)
    note = project / "note.txt"
    with track("first", {}) as tracked:
        with away(project, "metrics"):
            tracked.on_epoch(epoch(1))
            note.write_text("as it was")
            tracked.file(note)  # behind what waits
            note.write_text("changed later")
        tracked.on_epoch(epoch(2))
    (run,) = runs(project)
    history = client(project).get_metric_history(run.info.run_id, "val_loss")
    assert [point.step for point in history] == [1, 2]
    kept = project / "mlartifacts" / run.info.run_id / "artifacts/note.txt"
    assert kept.read_text() == "as it was"
    assert run.info.status == "FINISHED"
    assert folders(project) == []
    told = [line for line in capfd.readouterr().err.splitlines() if "MLflow" in line]
    assert len(told) == 1
    assert told[0].startswith(f"warning: MLflow at sqlite:///{project}/mlflow.db: ")
    assert told[0].endswith("The work goes on; what MLflow misses is delivered once it is back.")


def test_what_a_store_misses_to_the_end_is_delivered_by_the_next_process(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the checkout has moved meanwhile."""
    with track("first", {}) as tracked:
        (project / "folder").mkdir()
        (project / "folder/note.txt").write_text("kept")
        rename(project, "metrics", "metrics_away")
        tracked.on_epoch(epoch(1))
        tracked.file(project / "folder")
    assert [run.info.status for run in runs(project)] == ["RUNNING"]
    rename(project, "metrics_away", "metrics")
    project = project.rename(tmp_path / "there")
    enter(project, monkeypatch)
    close_abandoned_runs()
    (run,) = runs(project)
    assert (run.info.status, run.data.metrics["val_loss"]) == ("FINISHED", 0.4)
    assert run.info.end_time < 1000 * time.time() - 1
    kept = project / "mlartifacts" / run.info.run_id / "artifacts/folder/note.txt"
    assert kept.read_text() == "kept"
    assert folders(project) == []


def test_a_killed_process_leaves_what_it_could_not_tell(project: Path) -> None:
    killed = script(
        project,
        "import sqlite3; c = sqlite3.connect('mlflow.db'); "
        "c.execute('PRAGMA legacy_alter_table = ON'); "
        "c.execute('ALTER TABLE metrics RENAME TO metrics_away'); "
        "tracked.metrics({'loss': 0.5}); os.kill(os.getpid(), signal.SIGKILL)",
    )
    killed.communicate(timeout=60)
    rename(project, "metrics_away", "metrics")
    [folder] = folders(project)
    with (folder / outbox.WRITES).open("a") as file:
        file.write('{"metrics": [["lo')  # killed in the middle of a line
    close_abandoned_runs()
    (run,) = runs(project)
    assert (run.info.status, run.data.metrics) == ("KILLED", {"loss": 0.5})


def test_a_run_whose_folder_is_gone_is_closed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(project, "os.kill(os.getpid(), signal.SIGKILL)").communicate(timeout=60)
    shutil.rmtree(project / ".dvc")
    close_abandoned_runs()  # it might have been started this moment
    assert [run.info.status for run in runs(project)] == ["RUNNING"]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    close_abandoned_runs()
    assert [run.info.status for run in runs(project)] == ["KILLED"]


def test_a_full_disk_costs_no_training(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with track("first", {}) as tracked:
        [folder] = folders(project)
        (folder / outbox.WRITES).symlink_to("/dev/full")
        rename(project, "metrics", "metrics_away")
        tracked.on_epoch(epoch(1))
        tracked.on_epoch(epoch(2))
    told = capfd.readouterr().err
    assert "The work goes on" in told
    assert "has to tell may be lost" in told
    rename(project, "metrics_away", "metrics")
    (folder / outbox.WRITES).unlink()
    close_abandoned_runs()
    assert [run.info.status for run in runs(project)] == ["KILLED"]


def test_a_run_that_somebody_deletes_costs_no_training(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with track("first", {}) as tracked:
        client(project).delete_run(tracked.run_id)
        tracked.on_epoch(epoch(1))
    assert "The work goes on without it." in capfd.readouterr().err
    assert folders(project) == []


@pytest.fixture
def shared(project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store that other checkouts use, too."""
    shutil.copy(project / "mlflow.db", project.parent / "shared.db")
    uri = f"sqlite:///{project.parent / 'shared.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def status(uri: str) -> list[str]:
    return [run.info.status for run in MlflowClient(uri).search_runs(["1"])]


def test_a_run_of_another_checkout_is_closed_when_its_signs_of_life_end(
    project: Path, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its machine is called, and whatever process ids it has."""
    monkeypatch.setattr(outbox, "BEAT", 0.05)
    script(project, "os.kill(os.getpid(), signal.SIGKILL)").communicate(timeout=60)
    shutil.rmtree(project / ".dvc")  # with its container
    with track("first", {}) as living:
        monkeypatch.setenv("DVC_ROOT", str(project.parent / "elsewhere"))
        close_abandoned_runs()
        assert status(shared) == ["RUNNING", "RUNNING"]
        for run in MlflowClient(shared).search_runs(["1"]):
            long_ago = f"{time.time() - outbox.STALE - 1:.0f}"
            MlflowClient(shared).set_tag(run.info.run_id, outbox.ALIVE, long_ago)
        while sign(shared, living.run_id) == long_ago:
            time.sleep(0.05)
        close_abandoned_runs()
        assert status(shared) == ["RUNNING", "KILLED"]
    assert status(shared) == ["FINISHED", "KILLED"]


def sign(uri: str, run_id: str) -> str:
    return str(MlflowClient(uri).get_run(run_id).data.tags[outbox.ALIVE])


def test_the_copy_of_a_checkout_leaves_living_runs_of_a_shared_store_alone(
    project: Path, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with track("first", {}):
        shutil.copytree(project / ".dvc", project.parent / "copy" / ".dvc")
        enter(project.parent / "copy", monkeypatch)
        close_abandoned_runs()
        assert status(shared) == ["RUNNING"]
        assert folders(project.parent / "copy") == []


def test_a_run_that_two_checkouts_have_open_outlives_one_of_them(
    project: Path, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with track("first", {}) as study:
        here = folders(project)[0]
        gone = here.with_name(f"{study.run_id}-gone")
        gone.mkdir()
        label = json.loads((here / outbox.LABEL).read_text())
        (gone / outbox.LABEL).write_text(json.dumps({**label, "folder": gone.stat().st_ino}))
        here.rename(project.parent / here.name)  # it is in another checkout
        close_abandoned_runs()
        assert status(shared) == ["RUNNING"]
        assert folders(project) == []
        (project.parent / here.name).rename(here)
