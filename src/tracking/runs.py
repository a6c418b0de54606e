"""MLflow runs: one per stage execution, closed however the execution ends."""

import logging
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from filelock import FileLock

from src import paths
from src.config.params import flatten
from src.errors import UserError
from src.tracking import lineage
from src.training.reporting import Epoch, Reporter

if TYPE_CHECKING:  # MLflow takes a second and a half to import: only once it is needed
    from mlflow import MlflowClient

EXPERIMENT = "pipeline"
BATCH = 100  # MLflow takes this many parameters or tags at once


class Run(Reporter):
    """An open run, told of parameters, metrics and files; of a fit's epochs, too."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self._client = client
        self.run_id = run_id

    def on_epoch(self, epoch: Epoch) -> None:
        self.metrics(
            {
                "train_loss": epoch.train_loss,
                "val_loss": epoch.val_loss,
                "val_accuracy": epoch.val_accuracy,
                "learning_rate": epoch.learning_rate,
                "images_per_second": epoch.images_per_second,
            },
            step=epoch.epoch,
        )

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        entries = [Metric(key, value, now, step) for key, value in values.items()]
        self._client.log_batch(self.run_id, metrics=entries)

    def kept(self, epoch: Epoch) -> None:
        """The epoch whose weights the finished model has."""
        self.metrics(
            {
                "kept_epoch": epoch.epoch,
                "kept_val_loss": epoch.val_loss,
                "kept_val_accuracy": epoch.val_accuracy,
            }
        )

    def params(self, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        entries = [Param(key, str(value)) for key, value in values.items()]
        for start in range(0, len(entries), BATCH):
            self._client.log_batch(self.run_id, params=entries[start : start + BATCH])

    def tags(self, values: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        entries = [RunTag(key, value) for key, value in values.items()]
        for start in range(0, len(entries), BATCH):
            self._client.log_batch(self.run_id, tags=entries[start : start + BATCH])

    def file(self, path: Path) -> None:
        """Keep a copy of a file, or of a folder's files under the folder's name."""
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), path.name)
        else:
            self._client.log_artifact(self.run_id, str(path))


@contextmanager
def track(stage: str, params: Mapping[str, Any]) -> Iterator[Run]:
    """A run named `stage` with `params` flattened; FAILED or KILLED if the block is left so."""
    with _told_in_one_line():
        client, experiment = _open_store()
        _close_abandoned(client, experiment)
        # Born with its tags: a process killed right after would leave what no one can close.
        tags = {**_process_tags(), **_stage_tags(client, experiment, stage)}
        created = client.create_run(experiment, run_name=stage, tags=tags)
        run = Run(client, created.info.run_id)
        try:
            run.params(flatten(params))
            yield run
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt | SystemExit)
            client.set_terminated(run.run_id, "KILLED" if stopped else "FAILED")
            run.tags({"error": f"{type(error).__name__}: {error}"})
            raise
        client.set_terminated(run.run_id, "FINISHED")


def close_abandoned_runs() -> None:
    """Mark as KILLED the runs whose process is gone; every `track` begins with it, too."""
    with _told_in_one_line():
        _close_abandoned(*_open_store())


@contextmanager
def _told_in_one_line() -> Iterator[None]:
    """MLflow's own errors as UserError, with the address that is at fault."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Half a minute of patience with a server, instead of four of silence.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise UserError(f"MLflow at {_uri()}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _uri() -> str:
    """MLFLOW_TRACKING_URI, else a database in the root; relative paths are seen from the root."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{paths.TRACKING}"
    scheme, separator, path = uri.partition(":///")
    return f"{scheme}:///{paths.root() / path}" if scheme == "sqlite" and separator else uri


def _open_store() -> tuple["MlflowClient", str]:
    """A client, and the id of the experiment; both are made if they are not there yet."""
    from mlflow import MlflowClient

    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    uri = _uri()
    # A server keeps artifacts its own way.
    served = uri.startswith(("http", "databricks"))
    artifacts = None if served else (paths.root() / paths.ARTIFACTS).as_uri()
    # Processes that create the same database at the same time would corrupt it.
    with FileLock(paths.root() / f"{paths.TRACKING}.lock"):
        try:
            client = MlflowClient(uri)
            experiment = client.get_experiment_by_name(EXPERIMENT)
        except Exception as error:  # a damaged database raises whatever its driver does
            raise UserError(f"MLflow at {uri}: {_first_line(error)}") from None
        if experiment is None:
            return client, client.create_experiment(EXPERIMENT, artifacts)
        if experiment.lifecycle_stage == "deleted":
            number = experiment.experiment_id
            raise UserError(
                f"MLflow at {uri}: the experiment {EXPERIMENT} was deleted; bring it back with "
                f"MLFLOW_TRACKING_URI={uri} mlflow experiments restore --experiment-id {number}"
            )
        return client, experiment.experiment_id


def _stage_tags(client: "MlflowClient", experiment: str, stage: str) -> dict[str, str]:
    execution = lineage.running(stage)
    tags = {
        "dvc.stage": stage,
        "dvc.stage_hash": execution.hash(),
        **lineage.code_tags(),
        **{f"input.{path}": md5 for path, md5 in execution.inputs().items()},
        **_upstream_tags(client, experiment, stage),
    }
    if experiment_name := os.environ.get("DVC_EXP_NAME"):
        tags["dvc.exp"] = experiment_name
    return tags


def _upstream_tags(client: "MlflowClient", experiment: str, stage: str) -> dict[str, str]:
    tags = {}
    for name in lineage.upstream(stage):
        execution = lineage.recorded(name)
        if execution is None:
            continue
        made_by = client.search_runs(
            [experiment],
            f"tags.`dvc.stage_hash` = '{execution.hash()}' and attributes.status = 'FINISHED'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        if made_by:
            tags[f"upstream.{name}"] = made_by[0].info.run_id
    return tags


def _process_tags() -> dict[str, str]:
    process = psutil.Process()
    return {
        "host": platform.node(),
        "process.id": str(process.pid),
        "process.started": str(process.create_time()),
        "mlflow.source.name": " ".join(["python", *sys.orig_argv[1:]]),
    }


def _close_abandoned(client: "MlflowClient", experiment: str) -> None:
    """Close the runs whose process was killed before it could."""
    running = client.search_runs(
        [experiment], f"attributes.status = 'RUNNING' and tags.host = '{platform.node()}'"
    )
    for run in running:
        if not _is_alive(run.data.tags):
            client.set_terminated(run.info.run_id, "KILLED")


def _is_alive(tags: Mapping[str, str]) -> bool:
    try:
        process = psutil.Process(int(tags["process.id"]))
        started = process.create_time()
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return False  # killed, but not yet missed by its parent
    except (psutil.NoSuchProcess, KeyError):
        return False
    same: bool = abs(started - float(tags["process.started"])) < 1
    return same  # else the id now belongs to another process
