"""What a run has still to tell MLflow, kept while the store is busy or away.

In a folder of the run, from which the same process tries again, or the next one that opens the
store. The kernel releases the folder's lock however its process ends. So the lock also tells living
runs from abandoned ones: in every container that shares the checkout, whatever its host name is.
"""

import json
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from src.core import paths
from src.core.files import written_whole
from src.tracking.courier import Courier, Write

# The tag of a running run: where others share the store, when its process last gave a sign of life;
# in the repository's own database `LOCKED`, for there the lock says more.
ALIVE, LOCKED = "alive", "locked"
BEAT = 60.0  # seconds between two signs
STALE = 900.0  # seconds after the last one, when others close the run

LABEL, WRITES = "run.json", "writes.jsonl"


class Outbox:
    """Delivers the writes of one run in their order, and keeps those that MLflow does not take."""

    def __init__(self, courier: Courier, run_id: str) -> None:
        self._courier, self._run_id = courier, run_id
        self._waiting: list[Write] = []
        self._token = uuid.uuid4().hex[:8]
        self._folder = _home() / f"{run_id}-{self._token}"
        self._folder.mkdir(parents=True)
        self._lock = FileLock(self._folder / "lock")
        self._lock.acquire()
        # Last, because it is what others look for.
        with written_whole(self._folder / LABEL) as partial:
            partial.write_text(json.dumps(_label(courier, self._folder)))
        self._closed = threading.Event()
        if not courier.own:
            threading.Thread(target=self._beat, daemon=True).start()

    def send(self, write: Write, *, urgent: bool = False) -> None:
        """Deliver the write, after those that wait; if MLflow is away, keep it.

        urgent: try even if MLflow has not answered within the last minute.
        """
        self._waiting.append(write)
        while self._waiting and self._courier.deliver(
            self._run_id, self._waiting[0], urgent=urgent
        ):
            del self._waiting[0]
        if self._waiting:
            self._keep(write)
        else:
            (self._folder / WRITES).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the run: no write follows."""
        self._closed.set()
        if not self._waiting:
            _remove(self._folder)
        self._lock.release()

    def _keep(self, write: Write) -> None:
        try:
            if "file" in write:  # a copy, because the file may change before it is delivered
                copy = _copy(Path(write["file"]), self._folder / uuid.uuid4().hex)
                self._waiting[-1] = {"file": str(copy)}
                write = {"file": str(copy.relative_to(self._folder))}  # the checkout may move
            with (self._folder / WRITES).open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(write)}\n")
        except OSError as error:  # a full disk, say
            self._courier.warn(error, f"What run {self._run_id} has to tell may be lost")

    def _beat(self) -> None:
        while True:
            self._courier.deliver(self._run_id, sign_of_life(self._token))
            if self._closed.wait(BEAT):
                return


def deliver_left(courier: Courier) -> set[str]:
    """Deliver what ended processes have left behind; close the runs that they could not close.

    Returns the ids of the runs that a living process of this checkout has open.
    """
    alive, left = set(), []
    for label in _home().glob(f"*/{LABEL}"):
        lock = FileLock(label.with_name("lock"))
        try:
            lock.acquire(timeout=0)
            left.append((label.parent, lock))
        except Timeout:
            alive.add(label.parent.name.partition("-")[0])
    for folder, lock in left:
        _deliver_left(courier, folder, alive)
        lock.release()
    return alive


def _deliver_left(courier: Courier, folder: Path, alive: set[str]) -> None:
    label = _read(folder / LABEL)
    if not label:  # its process has just ended by itself
        return
    if label["store"] != courier.store:
        return  # until that store is opened
    run_id, _, token = folder.name.partition("-")
    writes = list(_kept(folder))
    closed = any("status" in write for write in writes) or run_id in alive
    is_copy = label != _label(courier, folder)  # of a folder whose process may be alive
    if not (closed or is_copy or _lives_elsewhere(courier, run_id, token)):
        writes.append(ended("KILLED"))
    if all(courier.deliver(run_id, write) for write in writes):
        _remove(folder)


def _remove(folder: Path) -> None:
    """The label first: without it, nobody takes the rest for that of an abandoned run."""
    (folder / LABEL).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def ended(status: str) -> Write:
    """That a run has ended, now: FINISHED, FAILED or KILLED."""
    return {"status": status, "time": int(1000 * time.time())}


def sign_of_life(token: str) -> Write:
    return {"tags": {ALIVE: f"{time.time():.0f} {token}"}}


def _lives_elsewhere(courier: Courier, run_id: str, token: str) -> bool:
    """Whether a process of another checkout has the run open, too: machines can share a study."""
    run = courier.attempt(lambda client: client.get_run(run_id))
    sign = run.data.tags.get(ALIVE, LOCKED) if run else LOCKED
    return sign != LOCKED and token not in sign and not is_stale(sign)


def is_stale(sign: str) -> bool:
    """Whether a sign of life is so old that its process must be gone."""
    seconds = sign.partition(" ")[0]
    return seconds.isdecimal() and time.time() - int(seconds) > STALE


def _home() -> Path:
    return paths.root() / ".dvc/tmp/idxflow-runs"


def _label(courier: Courier, folder: Path) -> dict[str, str | int]:
    """Whose the folder is: of which store, and, by its inode, of which copy of the checkout."""
    return {"store": courier.store, "folder": 0 if courier.own else folder.stat().st_ino}


def _kept(folder: Path) -> Iterator[Write]:
    """The writes that were kept, up to one that was torn when its process was killed."""
    try:
        for line in (folder / WRITES).read_text("utf-8").splitlines():
            write = json.loads(line)
            if "file" in write:
                write["file"] = str(folder / write["file"])
                if not Path(write["file"]).exists():
                    continue
            yield write
    except (FileNotFoundError, ValueError):
        return


def _read(label: Path) -> dict[str, Any]:
    """Empty if there is none, or a damaged one."""
    try:
        return dict(json.loads(label.read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _copy(source: Path, folder: Path) -> Path:
    folder.mkdir()
    if source.is_dir():
        return Path(shutil.copytree(source, folder / source.name))
    return Path(shutil.copy2(source, folder))
