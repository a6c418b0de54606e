"""A sweep in MLflow: a run named after the study, with a child run for each trial."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from src.config.values import flatten
from src.core import paths
from src.core.progress import Epoch
from src.tracking.nested import PARENT
from src.tracking.runs import Run, origin_tags, process_tags, start_run
from src.tracking.store import PIPELINE, TUNE, opened

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as Entry

STUDY, TRIAL, STATE = "optuna.study_id", "optuna.trial", "optuna.state"
STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}  # by a trial's state


@dataclass(frozen=True)
class Ended:
    """How a trial ended."""

    trial: int
    state: str  # complete, pruned or failed
    value: float | None = None  # of a complete trial: its validation loss in nats
    reason: str = ""  # of a pruned or failed trial
    traceback: str = ""  # of a trial that failed by a bug
    drawn: Mapping[str, Any] = field(default_factory=dict)  # its values, by dotted name


class TrackedSweep:
    """Logs the trials of a sweep. `mirror` repairs the runs that a killed process left."""

    def __init__(
        self, client: "MlflowClient", experiment: str, parent: Run, tags: Mapping[str, str]
    ) -> None:
        self._client, self._experiment, self._parent = client, experiment, parent
        self._tags = {PARENT: parent.run_id, **tags}
        self._open: dict[int, Run] = {}

    def on_start(self, trial: int, drawn: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        """Open the trial's run. drawn: its values by dotted name; params: the nested sections."""
        run = self._start(trial)
        run.params({**flatten(params), **drawn})
        self._open[trial] = run

    def on_epoch(self, trial: int, epoch: Epoch) -> None:
        self._open[trial].on_epoch(epoch)

    def on_end(self, ended: Ended) -> None:
        """Close the trial's run, if this process opened it."""
        if ended.trial in self._open:
            self._end(self._open.pop(ended.trial), ended)

    def mirror(self, trials: Iterable[Ended]) -> None:
        """Make the runs of ended trials agree with the study.

        A process killed between its writes to the study and to MLflow leaves an open run, or none.
        """
        runs = {int(entry.data.tags[TRIAL]): entry for entry in self._children()}
        for ended in trials:
            entry = runs.get(ended.trial)
            expected = (ended.state, STATUS[ended.state])
            if entry is None:
                run = self._start(ended.trial)
                run.params(ended.drawn)
                self._end(run, ended)
            elif (entry.data.tags.get(STATE), entry.info.status) != expected:
                self._end(Run(self._client, entry.info.run_id), ended)

    def conclude(self, metrics: Mapping[str, float], files: Iterable[Path]) -> None:
        """Log the study's results so far, metrics and copies of files, to its own run."""
        self._parent.metrics(metrics)
        for path in files:
            self._parent.file(path)

    def _start(self, trial: int) -> Run:
        tags = {**self._tags, TRIAL: str(trial)}
        return start_run(self._client, self._experiment, f"trial-{trial}", tags)

    def _end(self, run: Run, ended: Ended) -> None:
        if ended.value is not None:
            run.metrics({"kept_val_loss": ended.value})
        run.tags({STATE: ended.state, **({"reason": ended.reason} if ended.reason else {})})
        run.end(STATUS[ended.state], traceback=ended.traceback)

    def _children(self) -> Iterator["Entry"]:
        token = None
        while True:
            found = self._client.search_runs(
                [self._experiment],
                f"tags.`{PARENT}` = '{self._parent.run_id}'",
                page_token=token,
            )
            yield from found
            token = found.token
            if not token:
                return


@contextmanager
def track_sweep(
    study: str, study_id: str, params: Mapping[str, Any], tags: Mapping[str, str]
) -> Iterator[TrackedSweep]:
    """The runs of a study. All calls, on all machines, share one parent run.

    params: constant over the study; tags: may differ from call to call.
    """
    with opened(PIPELINE, TUNE) as (client, [pipeline, experiment]):
        origin = {**origin_tags(client, pipeline, "train"), STUDY: study_id, **tags}
        parent = _parent(client, experiment, study, study_id, params)
        parent.tags({**process_tags(), **origin})
        with parent:
            yield TrackedSweep(client, experiment, parent, origin)


def _parent(
    client: "MlflowClient", experiment: str, study: str, study_id: str, params: Mapping[str, Any]
) -> Run:
    tags = {"optuna.study": study, "optuna.role": "study", STUDY: study_id}
    matching = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in tags.items())
    with FileLock(paths.root() / f"{paths.TRACKING}.lock"):
        if not client.search_runs([experiment], matching, max_results=1):
            start_run(client, experiment, study, tags).params(params)
        # Machines that share a study may have started at the same time: all use the first run.
        first, *others = client.search_runs([experiment], matching, order_by=["start_time ASC"])
    for surplus in others:
        client.delete_run(surplus.info.run_id)
    client.update_run(first.info.run_id, status="RUNNING")
    if "error" in first.data.tags:  # set by an interrupted call
        client.delete_tag(first.info.run_id, "error")
    return Run(client, first.info.run_id)
