"""What happens to runs in the field: is a training lost, does a run stay open, are files found?

    python -m benchmarks.field [containers|moved|locked|stopped ...]

Each in a new copy of the repository, with a stage that reports an epoch each second:

- containers: `kill -9` in a container, closed from another one of another name; and a living run,
  seen from a container of the same name (by unshare, which needs root)
- moved: the checkout is renamed after a run, then copied
- locked: another program holds mlflow.db for 45 seconds
- stopped: a tracking server is killed in mid-stage, and started again after the stage has ended
"""

import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from mlflow import MlflowClient

from tests.clones import Clone, clone

STAGE = """
import sys, time
from pathlib import Path
from src.core.cli import run
from src.core.progress import Epoch
from src.tracking.runs import track

def main():
    with track("download", {}) as tracked:
        print("ready", flush=True)
        for number in range(1, 1 + int(sys.argv[1])):
            time.sleep(1)
            tracked.on_epoch(Epoch(number, 0.5, 0.4, 0.9, 0.01, 1000.0))
        tracked.file(Path("params.yaml"))

run(main)
"""
CLOSE = ("python", "-m", "src.close_runs")
BOOT = "/proc/sys/kernel/random/boot_id"


def containers(project: Clone) -> None:
    def contained(host: str, *command: str) -> tuple[str, ...]:
        named = f'hostname {host}; echo {host} > boot; mount --bind boot {BOOT}; exec "$@"'
        own = ("--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
        return ("unshare", *own, "bash", "-c", named, "bash", *command)

    stage = begin(project, 60, contained("one"))
    stage.kill()  # and with it all processes of the container
    stage.wait()
    show("killed in a container", project)
    project.call(*contained("two", *CLOSE))
    show("after close_runs in another container", project)
    stage = begin(project, 60)
    project.call(*contained(socket.gethostname(), *CLOSE))
    show("a living one, after close_runs in a container of the same name", project)
    stage.kill()
    stage.wait()


def moved(project: Clone) -> None:
    begin(project, 1).communicate()
    away = Clone(project.root.rename(project.root.with_name("moved")))
    begin(away, 1).communicate()
    show("after a move", away)
    copy = Clone(Path(shutil.copytree(away.root, away.root.with_name("copy"))))
    begin(copy, 1).communicate()
    show("in a copy", copy)
    show("in the original", away)
    print(f"  the old place is {'there again' if project.root.exists() else 'gone'}")


def locked(project: Clone) -> None:
    stage = begin(project, 10)
    with closing(sqlite3.connect(project.root / "mlflow.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        time.sleep(45)
        database.execute("ROLLBACK")
    finish(stage)
    show("after the lock", project)


def stopped(project: Clone) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    server = serve(project, port)
    stage = begin(project, 10, env=("env", f"MLFLOW_TRACKING_URI={uri}"))
    time.sleep(3)
    end(server)
    finish(stage)
    server = serve(project, port)
    show("the server is back", project, uri)
    project.call("env", f"MLFLOW_TRACKING_URI={uri}", *CLOSE)
    show("after close_runs", project, uri)
    end(server)


def serve(project: Clone, port: int) -> subprocess.Popen[str]:
    store = ("--backend-store-uri", "sqlite:///served.db", "--artifacts-destination", "served")
    server = project.start("mlflow", "server", "--port", str(port), "--workers", "1", *store)
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health").close()
        except OSError:
            time.sleep(0.2)
        else:
            return server


def end(server: subprocess.Popen[str]) -> None:
    server.terminate()
    server.communicate()


def begin(
    project: Clone, seconds: int, around: tuple[str, ...] = (), env: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    """The stage, once its run is open."""
    stage = project.start(*env, *around, "python", "-c", STAGE, str(seconds))
    assert stage.stdout
    while stage.stdout.readline() != "ready\n":
        pass
    return stage


def finish(stage: subprocess.Popen[str]) -> None:
    started = time.monotonic()
    printed, _ = stage.communicate()
    print(
        f"  the stage exits {stage.returncode}, {time.monotonic() - started:.0f} s later: {printed}"
    )


def show(when: str, project: Clone, uri: str = "") -> None:
    client = MlflowClient(uri or f"sqlite:///{project.root / 'mlflow.db'}")
    for run in client.search_runs(["1"], order_by=["start_time ASC"]):
        points = client.get_metric_history(run.info.run_id, "val_loss")
        files = [file.path for file in client.list_artifacts(run.info.run_id)]
        print(f"  {when}: {run.info.status}, {len(points)} epochs, files {files}", flush=True)


def main() -> None:
    shown: dict[str, Callable[[Clone], None]] = {
        each.__name__: each for each in (containers, moved, locked, stopped)
    }
    for name in sys.argv[1:] or shown:
        print(f"{name}:", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "here").mkdir()
            shown[name](clone(Path(folder) / "here"))


if __name__ == "__main__":
    main()
