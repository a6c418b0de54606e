"""MLflow's store: where it is, opened by one process at a time, its errors in one line."""

import logging
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock

from src.core import paths
from src.core.errors import UserError, first_line
from src.core.processes import is_alive, is_local, is_of_earlier_boot

if TYPE_CHECKING:  # MLflow takes a second and a half to import: only once it is needed
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

# The experiments.
PIPELINE, TUNE, RECIPES, CROSSVAL, TRANSFER = "pipeline", "tune", "recipes", "crossval", "transfer"


@contextmanager
def opened(*experiments: str) -> Iterator[tuple["MlflowClient", list[str]]]:
    """A client and the ids of the experiments, created if necessary; abandoned runs are closed.

    MLflow's own errors in the block become UserErrors that name its address.
    """
    with _errors_in_one_line():
        client, ids = _open(experiments)
        _close_abandoned(client)
        yield client, ids


def close_abandoned_runs() -> None:
    """Mark the runs whose process is gone as KILLED; opening the store does this, too."""
    with opened(PIPELINE):
        pass


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # Give up on a server after half a minute, not after four.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise UserError(f"MLflow at {_uri()}: {first_line(error)}") from error


def _uri() -> str:
    """MLFLOW_TRACKING_URI, else a database in the root; relative paths start at the root."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{paths.TRACKING}"
    scheme, separator, path = uri.partition(":///")
    return f"{scheme}:///{paths.root() / path}" if scheme == "sqlite" and separator else uri


def _open(names: Sequence[str]) -> tuple["MlflowClient", list[str]]:
    from mlflow import MlflowClient

    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    uri = _uri()
    # Processes that create the same database at the same time would corrupt it.
    with FileLock(paths.root() / f"{paths.TRACKING}.lock"):
        try:
            client = MlflowClient(uri)
            found = [client.get_experiment_by_name(name) for name in names]
        except Exception as error:  # a damaged database raises whatever its driver does
            raise UserError(f"MLflow at {uri}: {first_line(error)}") from error
        pairs = zip(names, found, strict=True)
        return client, [_id(client, uri, name, experiment) for name, experiment in pairs]


def _id(client: "MlflowClient", uri: str, name: str, experiment: "Experiment | None") -> str:
    if experiment is None:
        # A server decides itself where artifacts are kept.
        served = uri.startswith(("http", "databricks"))
        artifacts = None if served else (paths.root() / paths.ARTIFACTS).as_uri()
        return client.create_experiment(name, artifacts)
    if experiment.lifecycle_stage == "deleted":
        number = experiment.experiment_id
        raise UserError(
            f"MLflow at {uri}: the experiment {name} was deleted; bring it back with "
            f"MLFLOW_TRACKING_URI={uri} mlflow experiments restore --experiment-id {number}"
        )
    return experiment.experiment_id


def _close_abandoned(client: "MlflowClient") -> None:
    """Close the runs whose process was killed before it could."""
    found = (
        client.get_experiment_by_name(name)
        for name in (PIPELINE, TUNE, RECIPES, CROSSVAL, TRANSFER)
    )
    running = client.search_runs(
        [experiment.experiment_id for experiment in found if experiment],
        f"attributes.status = 'RUNNING' and tags.host = '{platform.node()}'",
    )
    for run in running:
        tags = run.data.tags
        if is_of_earlier_boot(tags) or (is_local(tags) and not is_alive(tags)):
            client.set_terminated(run.info.run_id, "KILLED")
