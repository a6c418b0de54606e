"""Where studies are kept, and what they remember: a journal file, or any database of Optuna's."""

import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import BaseFileLock, FileLock
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock  # it has no public name
from sqlalchemy.exc import IntegrityError, ProgrammingError

from src.core.errors import UserError

Identity = Mapping[str, Mapping[str, Any]]  # parts such as "params", each by key
PATIENCE = 60  # seconds that a database may be busy, or a server out of reach


def open_storage(url: str | None, journal: Path, lock: BaseFileLock) -> BaseStorage:
    """The storage at `url`, an address of a database; without one, `journal`, an absolute path.

    `lock` lets one process of this machine at a time create it. Raises UserError, with what to do,
    for one that cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url is None:
        with lock:
            return _open_journal(journal)
    try:
        with lock:
            return _open_database(url)
    except (IntegrityError, ProgrammingError):
        # A machine that does not share the lock has made the tables at the same moment.
        time.sleep(2)
        return _open_database(url)
    except Exception as error:  # a damaged database raises whatever its driver does
        raise _in_one_line(error, url) from error


def begin_study(
    storage: BaseStorage, name: str, seed: int | None, identity: Identity, lock: BaseFileLock
) -> optuna.Study:
    """The study called `name`, made if it is not there.

    It remembers `seed`, which draws its values (by default the parameter of this name), and
    `identity`, which decides what they are worth. Raises UserError if it was begun with others.
    """
    with lock:
        try:
            study = optuna.create_study(storage=storage, study_name=name, direction="minimize")
        except DuplicatedStudyError:
            study = optuna.load_study(storage=storage, study_name=name)
            _await_begun(study)
        if "begun" not in study.user_attrs and not study.get_trials(deepcopy=False):
            first = identity["params"]["seed"] if seed is None else seed
            begun = {"id": uuid.uuid4().hex, "seed": first, "identity": identity}
            study.set_user_attr("begun", begun)  # as one: it cannot be half done
    check_unchanged(study, identity)
    first = study.user_attrs["begun"]["seed"]
    if seed not in (None, first):
        raise UserError(
            f"--seed: study {name} draws with {first}, not {seed}; leave --seed out, or use "
            "another study with --study NAME"
        )
    return study


def load_study(storage: BaseStorage, name: str) -> optuna.Study:
    """The study called `name`; UserError if there is none."""
    try:
        return optuna.load_study(storage=storage, study_name=name)
    except KeyError as error:
        known = ", ".join(optuna.get_all_study_names(storage)) or "none yet"
        raise UserError(
            f"study {name}: not found (there are: {known}); python -m src.tune makes studies"
        ) from error


def check_unchanged(study: optuna.Study, identity: Identity) -> None:
    """Raise UserError, naming what differs, if the study was begun with another `identity`.

    Only the parts that are given are compared.
    """
    if "begun" not in study.user_attrs:
        raise UserError(
            f"study {study.study_name}: not one of idxflow's; use another with --study NAME"
        )
    begun = study.user_attrs["begun"]["identity"]
    now = json.loads(json.dumps(identity))  # as it was kept
    changed = [
        (key, begun[part].get(key), values.get(key))
        for part, values in now.items()
        for key in sorted({*begun[part], *values})
        if begun[part].get(key) != values.get(key)
    ]
    if changed:
        (key, then, value), *more = changed
        told = f"{key} has changed" + ("" if "/" in key else f" from {then} to {value}")
        others = f" (and {len(more)} more)" if more else ""
        raise UserError(
            f"study {study.study_name}: {told}{others} since it was begun; change that back, or "
            "use another study with --study NAME"
        )


def _await_begun(study: optuna.Study) -> None:
    """Give another machine, which has just made the study, the time to say with what."""
    for _ in range(10):
        if "begun" in study.user_attrs:
            return
        time.sleep(0.5)


@contextmanager
def errors_in_one_line(url: str | None) -> Iterator[None]:
    """What a database raises while studies in it are worked on, as a UserError that names it."""
    try:
        yield
    except StorageInternalError as error:
        raise _in_one_line(error, url or "") from error


def _in_one_line(error: Exception, url: str) -> UserError:
    cause = error.__cause__ or error
    first = str(cause).strip().partition("\n")[0]
    return UserError(f"--storage {_without_password(url)}: {type(cause).__name__}: {first}")


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)


def _open_database(url: str) -> RDBStorage:
    patience = {"sqlite": {"timeout": PATIENCE}, "postgresql": {"connect_timeout": PATIENCE}}
    connecting = patience.get(re.split(r"\W", url)[0], {})
    # Pre-ping: a connection that the server has closed meanwhile is opened anew.
    return RDBStorage(url, engine_kwargs={"connect_args": connecting, "pool_pre_ping": True})


def _open_journal(path: Path) -> JournalStorage:
    lock = _KernelLock(path)
    lock.acquire()
    try:
        _check_lines(path)
    finally:
        lock.release()
    try:
        return JournalStorage(JournalFileBackend(str(path), lock))
    except Exception as error:  # lines that are well formed, and mean nothing
        raise UserError(
            f"{path}: damaged ({type(error).__name__}: {error}); move it away to begin anew"
        ) from error


class _KernelLock(BaseJournalFileLock):
    """A lock that the kernel takes back from a killed process, so that none is ever stale."""

    def __init__(self, journal: Path) -> None:
        # <journal>.lock is Optuna's own, a link to the journal where one was left behind.
        self._lock = FileLock(journal.with_name(f"{journal.name}.flock"))
        self._journal = journal

    def acquire(self) -> bool:
        self._lock.acquire()
        # The last writer may have been stopped in the middle of a line.
        _end_last_line(self._journal)
        return True

    def release(self) -> None:
        self._lock.release()


def _end_last_line(journal: Path) -> None:
    """Complete the last line if only its end is missing, else take it away."""
    if not journal.exists():
        return
    with journal.open("r+b") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return
        file.seek(-1, os.SEEK_END)
        if file.read() == b"\n":
            return
        file.seek(0)
        content = file.read()
        start = content.rfind(b"\n") + 1
        if _is_entry(content[start:]):
            file.write(b"\n")
        else:
            file.truncate(start)


def _check_lines(journal: Path) -> None:
    if not journal.exists():
        return
    name = journal.name
    with journal.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not _is_entry(line):
                raise UserError(
                    f"{journal}: line {number} is damaged; to go on with the trials before it: "
                    f"cp {name} {name}.damaged && sed -i '{number},$d' {name}"
                )


def _is_entry(line: bytes) -> bool:
    try:
        return "op_code" in json.loads(line)
    except (ValueError, TypeError):
        return False
