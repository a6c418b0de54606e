"""MLflow's store: where it is, opened by one process at a time, its errors in one line."""

import hashlib
import logging
import os
import platform
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from src.core import paths
from src.core.databases import check_owner
from src.core.errors import UserError, first_line
from src.core.secrets import without_secrets
from src.tracking.courier import Courier
from src.tracking.outbox import ALIVE, LOCKED, deliver_left, ended, is_stale
from src.tracking.views import VIEWS, address, experiment_tags

if TYPE_CHECKING:  # MLflow takes a second and a half to import: only once it is needed
    from mlflow import MlflowClient
    from mlflow.entities import Experiment
    from mlflow.entities import Run as Entry

# The experiments.
PIPELINE, TUNE, RECIPES, CROSSVAL, TRANSFER = "pipeline", "tune", "recipes", "crossval", "transfer"
COMPRESS = "compress"
EXPERIMENTS = tuple(VIEWS)

# Where MLflow keeps absolute places of files.
PLACES = (
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("experiments", "artifact_location"),
)


@contextmanager
def opened(*experiments: str) -> Iterator[tuple["MlflowClient", list[str]]]:
    """MLflow's client, to read with, and the ids of the experiments; see `connected`."""
    with connected(*experiments) as (courier, ids):
        yield courier.client, ids


@contextmanager
def connected(*experiments: str) -> Iterator[tuple[Courier, list[str]]]:
    """Who brings writes to MLflow, and the ids of the experiments, created if necessary.

    What earlier processes left behind is delivered, and the runs that they left open are closed.
    MLflow's own errors in the block become UserErrors that name its address.
    """
    store = _Store()
    with _errors_in_one_line(store):
        courier, ids = _open(store, experiments)
        _close_abandoned(courier)
        yield courier, ids


def close_abandoned_runs() -> None:
    """Mark the runs whose process is gone as KILLED; opening the store does this, too."""
    with connected(PIPELINE):
        pass


def pages() -> dict[str, str]:
    """The address of each experiment's view in MLflow's pages, by name."""
    with opened(PIPELINE) as (client, _):
        found = {name: client.get_experiment_by_name(name) for name in EXPERIMENTS}
        return {name: address(each.experiment_id) for name, each in found.items() if each}


def place() -> list[str]:
    """What tells this checkout from others that use the store; nothing where none can."""
    return [] if _Store().is_own else [platform.node(), str(paths.root())]


def creating() -> AbstractContextManager[object]:
    """A lock for what one process at a time may create in the store."""
    return _Store().lock()


class _Store:
    """Where runs are kept: MLFLOW_TRACKING_URI, else a database in the root.

    A relative path starts at the root, too.
    """

    def __init__(self) -> None:
        own = paths.root() / paths.TRACKING
        self.uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{own}"
        path = self.uri.removeprefix("sqlite:///")
        self.database = paths.root() / path if path != self.uri else None  # if it is a file
        self.is_own = self.database == own
        if self.database:
            self.uri = f"sqlite:///{_as_in_url(self.database)}"
        self.address = without_secrets(self.uri)

    def lock(self) -> FileLock:
        """Two processes that create the same database at the same time would corrupt it."""
        database = self.database or paths.root() / paths.TRACKING
        return FileLock(database.with_name(f"{database.name}.lock"))

    def artifacts(self) -> str | None:
        """Where a new experiment keeps its files; None if a server decides that."""
        served = self.uri.startswith(("http", "databricks"))
        return None if served else (paths.root() / paths.ARTIFACTS).as_uri()

    def key(self) -> str:
        """Tells the store from others; the repository's own may move with it."""
        return "own" if self.is_own else hashlib.sha256(self.uri.encode()).hexdigest()


def _as_in_url(path: Path) -> str:
    # SQLAlchemy reads what follows a ? as options, and % as the start of a character's code.
    return os.path.relpath(path) if {"?", "%"} & {*str(path)} else str(path)


@contextmanager
def _errors_in_one_line(store: _Store) -> Iterator[None]:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # Give up on a server after some ten seconds, not after four minutes: what it misses is kept.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise _refusal(store, error) from error


def _refusal(store: _Store, error: Exception) -> UserError:
    return UserError(f"MLflow at {store.address}: {without_secrets(first_line(error))}")


def _open(store: _Store, names: Sequence[str]) -> tuple[Courier, list[str]]:
    from mlflow import MlflowClient

    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    with store.lock():
        try:
            if "://" in store.uri and store.artifacts():
                _prepare_database(store)
            client = MlflowClient(store.uri)
            found = [client.get_experiment_by_name(name) for name in names]
        except Exception as error:  # a damaged database raises whatever its driver does
            raise _refusal(store, error) from error
        courier = Courier(client, store.address, store.key(), own=store.is_own)
        pairs = zip(names, found, strict=True)
        return courier, [_id(courier, store, name, experiment) for name, experiment in pairs]


def _prepare_database(store: _Store) -> None:
    """Create MLflow's tables, if there are none; refuse a database that is somebody else's."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # Before MLflow, which tries for a hundred seconds to reach a server that is away.
    check_owner(store.uri, "experiments", "MLflow")
    # With the root's artifacts, also for the experiment that MLflow makes for itself: in a folder
    # with quotes in its name, it fails with its own.
    SqlAlchemyStore(store.uri, store.artifacts())
    if store.is_own:
        _follow_move(paths.root() / paths.TRACKING, str(store.artifacts()))


def _follow_move(database: Path, artifacts: str) -> None:
    """Let the runs find their files where the checkout is now: MLflow keeps absolute places."""
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        found = connection.execute(
            "SELECT artifact_location FROM experiments WHERE name = ?", [PIPELINE]
        ).fetchone()
        if found and found[0] != artifacts and _is_ours(found[0]):
            for table, column in PLACES:
                connection.execute(
                    f"UPDATE {table} SET {column} = :new || substr({column}, length(:old) + 1) "  # noqa: S608
                    f"WHERE substr({column} || '/', 1, length(:old) + 1) = :old || '/'",
                    {"old": found[0], "new": artifacts},
                )


def _is_ours(location: str) -> bool:
    """Whether files in a place of this name lie in the root now.

    Not so if another checkout, which is still there, keeps its runs in this one's database.
    """
    place = Path(unquote(urlsplit(location).path))
    moved_here = (paths.root() / paths.ARTIFACTS).exists() or not place.exists()
    return place.name == paths.ARTIFACTS.name and moved_here


def _id(courier: Courier, store: _Store, name: str, experiment: "Experiment | None") -> str:
    tags = experiment_tags(name)
    if experiment is None:
        return courier.insist(
            lambda client: client.create_experiment(name, store.artifacts(), tags)
        )
    if experiment.lifecycle_stage == "deleted":
        number = experiment.experiment_id
        raise UserError(
            f"MLflow at {store.address}: the experiment {name} was deleted; bring it back with "
            f"MLFLOW_TRACKING_URI={store.address} mlflow experiments restore "
            f"--experiment-id {number}"
        )
    missing = {key: value for key, value in tags.items() if key not in experiment.tags}
    if missing:  # it is from before, or somebody took them away
        courier.attempt(lambda client: _tag(client, experiment.experiment_id, missing))
    return experiment.experiment_id


def _tag(client: "MlflowClient", experiment_id: str, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        client.set_experiment_tag(experiment_id, key, value)


def _close_abandoned(courier: Courier) -> None:
    """Close the runs whose process was killed before it could."""
    alive = deliver_left(courier)
    running = courier.client.search_runs(
        existing(courier.client),
        f"attributes.status = 'RUNNING' and tags.{ALIVE} LIKE '%'",
    )
    for run in running:
        # Its folder is made right after a run: without one, whoever opened it has not lived long.
        folder_is_gone = run.data.tags[ALIVE] == LOCKED and courier.own and _is_old(run)
        if run.info.run_id not in alive and (folder_is_gone or is_stale(run.data.tags[ALIVE])):
            courier.deliver(run.info.run_id, ended("KILLED"))


def existing(client: "MlflowClient") -> list[str]:
    """The ids of the experiments that there are by now."""
    found = (client.get_experiment_by_name(name) for name in EXPERIMENTS)
    return [experiment.experiment_id for experiment in found if experiment]


def _is_old(run: "Entry") -> bool:
    return time.time() - int(run.info.start_time) / 1000 > 60
