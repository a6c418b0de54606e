"""A study in MLflow: a run with a child run for each of its trainings."""

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from src.config.values import flatten
from src.core.progress import Ended, Epoch, Observer
from src.tracking.courier import Courier
from src.tracking.notes import datasets
from src.tracking.provenance import code_tags, running
from src.tracking.runs import Run, origin_tags, process_tags, start_run
from src.tracking.store import PIPELINE, connected, creating

if TYPE_CHECKING:
    from mlflow.entities import Run as Entry

PARENT, STUDY, STATE = "mlflow.parentRunId", "study", "state"
WRITE_INTERVAL = 1.0  # seconds between two writes of a training's epochs, each of some 10 ms


class TrackedStudy(Observer):
    """The study's own run, `record`, and a child run for each training that it is told of."""

    def __init__(
        self, courier: Courier, experiment: str, record: Run, tags: Mapping[str, str]
    ) -> None:
        self.record = record
        self._courier, self._experiment = courier, experiment
        self._tags = {PARENT: record.run_id, **tags}
        self._open: dict[str, Run] = {}
        self._replaceable: dict[str, str] = {}  # by name, the ids of ended runs
        self._unwritten = defaultdict[str, list[Epoch]](list)
        self._written: dict[str, float] = {}

    def on_start(self, name: str, values: Mapping[str, Any]) -> None:
        """Open the training's run, with its values flattened; it replaces one from before."""
        if name in self._replaceable:
            self._delete(self._replaceable.pop(name))
        # If MLflow is away, the study's next call makes up for it.
        if run := self._courier.attempt(lambda _: self._start(name, values)):
            self._open[name] = run

    def on_epoch(self, name: str, epoch: Epoch) -> None:
        if name not in self._open:
            return
        self._unwritten[name].append(epoch)
        if time.monotonic() - self._written.get(name, 0.0) > WRITE_INTERVAL:
            self._write(name)

    def on_end(self, ended: Ended) -> None:
        """Close the training's run, if this process opened it."""
        if ended.name in self._open:
            self._write(ended.name)
            self._end(self._open.pop(ended.name), ended)

    def mirror(self, trainings: Iterable[Ended]) -> None:
        """Make the runs of ended trainings agree with these.

        A process killed between its writes to results and to MLflow leaves an open run, or none.
        """
        entries = {str(entry.info.run_name): entry for entry in self._children()}
        for ended in trainings:
            entry = entries.pop(ended.name, None)
            if entry and (entry.data.tags.get(STATE), entry.info.status) == _final(ended):
                continue
            if entry and not ended.epochs:
                self._end(Run(self._courier, entry.info.run_id, self._experiment), ended)
                continue
            if entry:  # with some of the epochs: all of them are written, once
                self._delete(entry.info.run_id)
            run = self._start(ended.name, ended.values)
            run.epochs(ended.epochs)
            self._end(run, ended)
        for name, entry in entries.items():
            self._replaceable[name] = entry.info.run_id

    def _delete(self, run_id: str) -> None:
        self._courier.attempt(lambda client: client.delete_run(run_id))

    def _start(self, name: str, values: Mapping[str, Any]) -> Run:
        run = start_run(self._courier, self._experiment, name, self._tags)
        run.params(flatten(values))
        return run

    def _write(self, name: str) -> None:
        self._open[name].epochs(self._unwritten.pop(name, ()))
        self._written[name] = time.monotonic()

    def _end(self, run: Run, ended: Ended) -> None:
        state, status = _final(ended)
        run.metrics(ended.metrics)
        reason = {"reason": ended.reason} if ended.reason else {}
        run.tags({STATE: state, **reason, **ended.machine})
        run.end(status, traceback=ended.traceback)
        self._replaceable[ended.name] = run.run_id

    def _children(self) -> Iterator["Entry"]:
        token = None
        while True:
            found = self._courier.client.search_runs(
                [self._experiment],
                f"tags.`{PARENT}` = '{self.record.run_id}'",
                page_token=token,
            )
            yield from found
            token = found.token
            if not token:
                return


def _final(ended: Ended) -> tuple[str, str]:
    """The state and the status that the run of a training ends with."""
    return ended.state, "FAILED" if ended.state == "failed" else "FINISHED"


@contextmanager
def track_study(
    experiment: str,
    name: str,
    key: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    stage: str | None = None,
) -> Iterator[TrackedStudy]:
    """The runs of the study that `key` identifies: all calls, on all machines, share them.

    params: constant over the study; tags: may differ from call to call; stage: the one of dvc.yaml
    whose inputs are used, so that the runs name what made these.
    """
    with connected(PIPELINE, experiment) as (courier, [pipeline, own]):
        made_from = (
            origin_tags(courier.client, pipeline, stage, running(stage)) if stage else code_tags()
        )
        origin = {**made_from, **tags}
        if "DVC_STAGE" in os.environ:
            origin["dvc.stage"] = os.environ["DVC_STAGE"]
        with _record(courier, own, name, key, params) as record:
            record.tags({**process_tags(), **origin})
            record.note(f"**{name}**, a study of the experiment {experiment}.")
            if stage:
                record.datasets(datasets(running(stage).data()))
            yield TrackedStudy(courier, own, record, origin)


def _record(
    courier: Courier, experiment: str, name: str, key: str, params: Mapping[str, Any]
) -> Run:
    client, matching = courier.client, f"tags.`{STUDY}` = '{key}'"
    with creating():
        if not client.search_runs([experiment], matching, max_results=1):
            with start_run(courier, experiment, name, {STUDY: key}) as started:
                started.params(flatten(params))
        # Machines that share a study may have started at the same time: all use the first run.
        first, *others = client.search_runs([experiment], matching, order_by=["start_time ASC"])
    for surplus in others:
        client.delete_run(surplus.info.run_id)
    record = Run(courier, first.info.run_id, experiment)
    client.update_run(record.run_id, status="RUNNING")
    if "error" in first.data.tags:  # set by an interrupted call
        client.delete_tag(record.run_id, "error")
    return record
