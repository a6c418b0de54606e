"""A sweep in MLflow: a run named after the study, and below it one for each trial."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
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
# Of a trial: number, state, validation loss, reason, the values drawn.
Outcome = tuple[int, str, float | None, str, Mapping[str, Any]]
ENDED = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}


class TrackedSweep:
    """Told by the sweep what happens to its trials; `mirror` mends what a killed one left."""

    def __init__(
        self, client: "MlflowClient", experiment: str, parent: Run, tags: Mapping[str, str]
    ) -> None:
        self._client, self._experiment, self._parent = client, experiment, parent
        self._tags = {PARENT: parent.run_id, **tags}
        self._open: dict[int, Run] = {}

    def on_start(self, trial: int, drawn: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        """`trial` begins with the values `drawn`, and with them these parameters."""
        run = self._start(trial)
        run.params({**flatten(params), **drawn})
        self._open[trial] = run

    def on_epoch(self, trial: int, epoch: Epoch) -> None:
        self._open[trial].on_epoch(epoch)

    def on_end(self, trial: int, state: str, value: float | None, reason: str) -> None:
        """`trial` is complete, pruned or failed; value: its validation loss, where complete."""
        if trial in self._open:
            self._end(self._open.pop(trial), state, value, reason)

    def mirror(self, outcomes: Iterable[Outcome]) -> None:
        """Make the runs of ended trials agree with the study.

        A process killed between the study and MLflow leaves a run without its end, or none.
        """
        runs = {int(entry.data.tags[TRIAL]): entry for entry in self._children()}
        for trial, state, value, reason, drawn in outcomes:
            entry = runs.get(trial)
            if entry is None:
                run = self._start(trial)
                run.params(drawn)
                self._end(run, state, value, reason)
            elif (entry.data.tags.get(STATE), entry.info.status) != (state, ENDED[state]):
                self._end(Run(self._client, entry.info.run_id), state, value, reason)

    def conclude(self, metrics: Mapping[str, float], files: Iterable[Path]) -> None:
        """What the study came to, so far."""
        self._parent.metrics(metrics)
        for path in files:
            self._parent.file(path)

    def _start(self, trial: int) -> Run:
        tags = {**self._tags, TRIAL: str(trial)}
        return start_run(self._client, self._experiment, f"trial-{trial}", tags)

    def _end(self, run: Run, state: str, value: float | None, reason: str) -> None:
        if value is not None:
            run.metrics({"kept_val_loss": value})
        run.tags({STATE: state, **({"reason": reason} if reason else {})})
        run.end(ENDED[state])

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
    """The runs of a study: the same parent whenever and wherever the study is worked on.

    params: what the study remembers; tags: what may differ from call to call.
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
    name = {"optuna.study": study, "optuna.role": "study", STUDY: study_id}
    known = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in name.items())
    with FileLock(paths.root() / f"{paths.TRACKING}.lock"):
        if not client.search_runs([experiment], known, max_results=1):
            start_run(client, experiment, study, name).params(params)
        # Machines that share a study may have begun in the same moment: all take the first.
        first, *others = client.search_runs([experiment], known, order_by=["start_time ASC"])
    for surplus in others:
        client.delete_run(surplus.info.run_id)
    client.update_run(first.info.run_id, status="RUNNING")
    if "error" in first.data.tags:  # of a call that was interrupted
        client.delete_tag(first.info.run_id, "error")
    return Run(client, first.info.run_id)
