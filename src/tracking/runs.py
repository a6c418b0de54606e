"""MLflow runs: one per stage execution, closed however the execution ends."""

import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from src.config.values import flatten
from src.core.errors import is_refusal, trace
from src.core.progress import Epoch, Reporter
from src.core.secrets import without_secrets
from src.tracking import notes, provenance
from src.tracking.courier import Courier
from src.tracking.outbox import ALIVE, LOCKED, Outbox, ended
from src.tracking.store import PIPELINE, connected
from src.tracking.views import NOTE, address_of_run

if TYPE_CHECKING:  # MLflow takes a second and a half to import: only once it is needed
    from mlflow import MlflowClient
    from mlflow.entities import Run as Entry

MAX_POINTS = 1000  # that MLflow takes at a time
LONGEST = 8000  # characters of a tag


class Run(Reporter):
    """An open run: takes parameters, metrics, files, and the epochs of a training."""

    def __init__(self, courier: Courier, run_id: str, experiment: str) -> None:
        self._outbox = Outbox(courier, run_id)
        self.run_id, self._experiment = run_id, experiment
        self._about: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            self.end("FINISHED")
        else:
            stopped = isinstance(error, KeyboardInterrupt | SystemExit)
            bug = not stopped and not is_refusal(error)
            self.end(
                "KILLED" if stopped else "FAILED",
                f"{type(error).__name__}: {error}",
                trace(error) if bug else "",
            )

    def end(self, status: str, reason: str = "", traceback: str = "") -> None:
        """Close the run as FINISHED, FAILED or KILLED, in the last two cases with the reason.

        traceback: of a bug, kept as the artifact traceback.txt.
        """
        if reason:
            self.tags({"error": without_secrets(reason)})
        if traceback:
            text = without_secrets(traceback)
            self._outbox.send({"text": text, "name": "traceback.txt"})
        self._outbox.send(ended(status), urgent=True)
        self._outbox.close()

    def on_epoch(self, epoch: Epoch) -> None:
        self.epochs([epoch])

    def epochs(self, epochs: Sequence[Epoch]) -> None:
        """Any number of them, in one write."""
        self._log((name, value, epoch.epoch) for epoch in epochs for name, value in _curves(epoch))

    def metrics(self, values: Mapping[str, float]) -> None:
        self._log((name, value, 0) for name, value in values.items())

    def _log(self, points: Iterable[tuple[str, float, int]]) -> None:
        """Points of curves: name, value, step."""
        now = time.time_ns() // 1_000_000
        entries = [(name, value, now, step) for name, value, step in points]
        for start in range(0, len(entries), MAX_POINTS):
            self._outbox.send({"metrics": entries[start : start + MAX_POINTS]})

    def params(self, values: Mapping[str, Any]) -> None:
        self._outbox.send({"params": {key: str(value) for key, value in values.items()}})

    def tags(self, values: Mapping[str, str]) -> None:
        self._outbox.send({"tags": values})

    def note(self, text: str) -> None:
        """Add a text to the run's description."""
        self._about.append(text)
        self.tags({NOTE: "\n\n".join(self._about)[:LONGEST]})

    def page(self, path: Path) -> None:
        """Keep a page, and lead to it from the description."""
        self.file(path)
        place = address_of_run(self._experiment, self.run_id, f"/artifacts/{path.name}")
        self._about.insert(1, f"[The page]({place})")
        self.tags({NOTE: "\n\n".join(self._about)[:LONGEST]})

    def datasets(self, found: Sequence[Mapping[str, str]]) -> None:
        """Name the image sets that the run uses: see `notes.datasets`."""
        if found:
            self._outbox.send({"datasets": found})

    def file(self, path: Path) -> None:
        """Keep a copy of a file, or of a folder's files under the folder's name."""
        path.stat()  # a missing one is a bug of ours, and no fault of the store
        self._outbox.send({"file": str(path)})


def _curves(epoch: Epoch) -> list[tuple[str, float]]:
    """What an epoch adds to the curves of a training."""
    return [(name, value) for name, value in asdict(epoch).items() if name != "epoch"]


@contextmanager
def track(stage: str, params: Mapping[str, Any]) -> Iterator[Run]:
    """A run named `stage` with `params` flattened; FAILED or KILLED if the block is left so."""
    provenance.warn_of_shallow_clone()
    with connected(PIPELINE) as (courier, [experiment]):
        execution, changed = provenance.running(stage), notes.changes()
        tags = _stage_tags(courier.client, experiment, stage, execution)
        with start_run(courier, experiment, notes.name(stage, changed), tags) as run:
            run.note(notes.description(stage, changed, tags, experiment))
            run.datasets(notes.datasets(execution.data()))
            run.params(flatten(params))
            yield run


@contextmanager
def track_once(experiment: str, name: str) -> Iterator[Run]:
    """A run of a command that trains nothing."""
    with (
        connected(experiment) as (courier, [identity]),
        start_run(courier, identity, name, provenance.code_tags()) as run,
    ):
        yield run


def start_run(courier: Courier, experiment: str, name: str, tags: Mapping[str, str]) -> Run:
    """A new run; as a context manager it ends when its block does."""
    # Created with its tags: if the process is killed right after, the run can still be closed.
    sign = LOCKED if courier.own else f"{time.time():.0f}"
    all_tags = {**process_tags(), ALIVE: sign, **tags}
    created = courier.insist(
        lambda client: client.create_run(experiment, run_name=name, tags=all_tags)
    )
    return Run(courier, created.info.run_id, experiment)


def process_tags() -> dict[str, str]:
    """Where, and by which command, a run was made."""
    return {
        "host": platform.node(),
        "mlflow.source.name": " ".join(["python", *map(without_secrets, sys.orig_argv[1:])]),
    }


def origin_tags(
    client: "MlflowClient", experiment: str, stage: str, execution: provenance.Execution
) -> dict[str, str]:
    """What a stage's result comes from: commit, code, data, and the runs that made those data.

    experiment: the id of the experiment with the stages' runs.
    """
    return {
        **provenance.code_tags(),
        **{f"input.{path}": md5 for path, md5 in execution.data().items()},
        **{f"code.{path}": md5 for path, md5 in execution.code().items()},
        **_upstream_tags(client, experiment, stage),
    }


def _stage_tags(
    client: "MlflowClient", experiment: str, stage: str, execution: provenance.Execution
) -> dict[str, str]:
    tags = {
        "dvc.stage": stage,
        "dvc.stage_hash": execution.hash(),
        **origin_tags(client, experiment, stage, execution),
    }
    if experiment_name := os.environ.get("DVC_EXP_NAME"):
        tags["dvc.exp"] = experiment_name
    return tags


def _upstream_tags(client: "MlflowClient", experiment: str, stage: str) -> dict[str, str]:
    tags = {}
    for name in provenance.upstream(stage):
        execution = provenance.recorded(name)
        if execution and (entry := made_by(client, experiment, execution)):
            tags[f"upstream.{name}"] = entry.info.run_id
    return tags


def made_by(
    client: "MlflowClient", experiment: str, execution: provenance.Execution
) -> "Entry | None":
    """The run of an execution; if it ran more than once, the last that finished."""
    found = client.search_runs(
        [experiment],
        f"tags.`dvc.stage_hash` = '{execution.hash()}' and attributes.status = 'FINISHED'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    return found[0] if found else None
