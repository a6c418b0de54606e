"""Opens a study in a journal file or in a database, and checks that it still applies."""

import json
import os
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

from src.core import paths
from src.core.databases import check_is_on_one_machine, check_owner, patience
from src.core.errors import UserError, one_line
from src.core.secrets import without_secrets
from src.tune.space import Space
from src.tune.study import Study

# What determines a study's results, in parts such as "params" and "files", each by key.
Identity = Mapping[str, Mapping[str, Any]]


@contextmanager
def study_opened(
    name: str,
    url: str | None,
    space: Space,
    identity: Identity,
    *,
    create: bool = False,
    seed: int | None = None,
) -> Iterator[Study]:
    """The study called `name`, in the database at `url` or in the repository's journal.

    identity: what the study must have been created with, see `check_unchanged`; create: create the
    study if it does not exist, with `seed`, see `begin_study`. Raises UserError if the study cannot
    be opened, does not match, or (within the block) its database fails.
    """
    lock = FileLock(paths.root() / paths.STUDIES_LOCK)
    with _database_errors(url):
        storage = open_storage(url, paths.root() / paths.STUDIES, lock)
        if create:
            study = begin_study(storage, name, seed, identity, lock)
        else:
            study = load_study(storage, name)
            check_unchanged(study, identity)
        yield Study(study, storage, space, lock)


def open_storage(url: str | None, journal: Path, lock: BaseFileLock) -> BaseStorage:
    """The database at `url`; without a URL, the file `journal`, an absolute path.

    `lock` lets one process of this machine at a time create it. Raises UserError, with what to do,
    if it cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url is None:
        with lock:
            return _open_journal(journal)
    try:
        with lock:
            return _open_database(url)
    except (IntegrityError, ProgrammingError):
        # Another machine, which does not share the lock, created the tables at the same time.
        time.sleep(2)
        return _open_database(url)
    except Exception as error:  # each driver has its own exceptions
        raise _database_error(error, url) from error


def begin_study(
    storage: BaseStorage, name: str, seed: int | None, identity: Identity, lock: BaseFileLock
) -> optuna.Study:
    """The study called `name`, created if it does not exist.

    It stores `seed`, from which its values are drawn (default: the seed in `identity`), and
    `identity`, which determines its results. Raises UserError if it was created with others.
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
            study.set_user_attr("begun", begun)  # one attribute, so that it is atomic
    check_unchanged(study, identity)
    first = study.user_attrs["begun"]["seed"]
    if seed not in (None, first):
        raise UserError(
            f"--seed: study {name} has seed {first}, not {seed}; omit --seed, or use "
            "another study with --study NAME"
        )
    return study


def load_study(storage: BaseStorage, name: str) -> optuna.Study:
    """The study called `name`; UserError if there is none."""
    try:
        return optuna.load_study(storage=storage, study_name=name)
    except KeyError as error:
        known = ", ".join(optuna.get_all_study_names(storage)) or "none"
        raise UserError(
            f"study {name}: not found (existing studies: {known}); python -m src.tune creates one"
        ) from error


def check_unchanged(study: optuna.Study, identity: Identity) -> None:
    """Raise UserError, naming what differs, if the study was created with another `identity`.

    Only the parts in `identity` are compared.
    """
    if "begun" not in study.user_attrs:
        raise UserError(
            f"study {study.study_name}: not created by idxflow; use another with --study NAME"
        )
    begun = study.user_attrs["begun"]["identity"]
    now = json.loads(json.dumps(identity))  # as it was stored
    changed = [
        (key, begun[part].get(key), values.get(key))
        for part, values in now.items()
        for key in sorted({*begun[part], *values})
        if begun[part].get(key) != values.get(key)
    ]
    if changed:
        (key, then, value), *more = changed
        first = f"{key} has changed" + ("" if "/" in key else f" from {then} to {value}")
        others = f" (and {len(more)} more)" if more else ""
        raise UserError(
            f"study {study.study_name}: {first}{others} since the study was created; undo the "
            "change, or use another study with --study NAME"
        )


def _await_begun(study: optuna.Study) -> None:
    """Wait for another machine, which has just created the study, to store its identity."""
    for _ in range(10):
        if "begun" in study.user_attrs:
            return
        time.sleep(0.5)


@contextmanager
def _database_errors(url: str | None) -> Iterator[None]:
    """Raise a database's error as a UserError that names the database."""
    try:
        yield
    except StorageInternalError as error:
        raise _database_error(error, url or "") from error


def _database_error(error: Exception, url: str) -> UserError:
    cause = error.__cause__ or error
    return UserError(without_secrets(f"--storage {url}: {one_line(cause)}"))


def _open_database(url: str) -> RDBStorage:
    check_is_on_one_machine(url)
    check_owner(url, "studies", "Optuna", is_first=True)
    # Pre-ping: a connection that the server has closed meanwhile is opened again.
    return RDBStorage(url, engine_kwargs={"connect_args": patience(url), "pool_pre_ping": True})


def _open_journal(path: Path) -> JournalStorage:
    lock = _KernelLock(path)
    lock.acquire()
    try:
        _check_lines(path)
    finally:
        lock.release()
    try:
        return JournalStorage(JournalFileBackend(str(path), lock))
    except Exception as error:  # lines that are valid JSON, but inconsistent
        raise UserError(
            f"{path}: damaged ({one_line(error)}); move it away to start with a new one"
        ) from error


class _KernelLock(BaseJournalFileLock):
    """A lock that the kernel releases when its process is killed, so that it is never stale."""

    def __init__(self, journal: Path) -> None:
        # Not <journal>.lock: Optuna's own lock of that name may have been left by a killed process.
        self._lock = FileLock(journal.with_name(f"{journal.name}.flock"))
        self._journal = journal

    def acquire(self) -> bool:
        self._lock.acquire()
        # The last writer may have been killed in the middle of a line.
        _repair_last_line(self._journal)
        return True

    def release(self) -> None:
        self._lock.release()


def _repair_last_line(journal: Path) -> None:
    """Complete the last line if only its newline is missing; otherwise remove it."""
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
        elif content[start : start + 1] in (b"{", b"\0"):  # else it is no line of a journal
            file.truncate(start)


def _check_lines(journal: Path) -> None:
    if not journal.exists():
        return
    name = journal.name
    with journal.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not _is_entry(line):
                raise UserError(
                    f"{journal}: line {number} is damaged; to keep the trials before it: "
                    f"cp {name} {name}.damaged && sed -i '{number},$d' {name}"
                )


def _is_entry(line: bytes) -> bool:
    try:
        return "op_code" in json.loads(line)
    except (ValueError, TypeError):
        return False
