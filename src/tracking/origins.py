"""What made a file, a metric or a run, and what came of it; every hash is computed again."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from src.config.parsing import read
from src.config.values import flatten, value_at
from src.core.errors import UserError, warn
from src.core.paths import METRICS, PARAMS
from src.tracking import provenance
from src.tracking.cache import cached, members
from src.tracking.runs import made_by
from src.tracking.store import PIPELINE, existing, opened

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as Entry

# Where content with the right hash was found; where else, it is a fault.
HERE, CACHED, COMMITTED = "verified", "verified in DVC's cache", "verified in git"
CHANGED, MISSING, GONE = "changed since", "missing", "not kept, so not verified"


@dataclass(frozen=True)
class Content:
    """A file or folder as it was, and whether it is still to be found."""

    path: str
    md5: str
    state: str


@dataclass(frozen=True)
class Step:
    """A stage's execution, or another run."""

    name: str
    command: str
    run: str | None  # its id in MLflow, if one is recorded
    commit: str | None  # of its code, if it is known
    dirty: bool  # whether its code differed from the commit
    parameters: Mapping[str, Any]
    changed: Mapping[str, Any]  # parameters of present outputs that have another value now
    code: tuple[Content, ...]
    inputs: tuple[Content, ...]
    outputs: tuple[Content, ...]

    def faults(self) -> Iterator[str]:
        """What is not as it was."""
        for did, contents in (
            ("ran", self.code),
            ("read it", self.inputs),
            ("made it", self.outputs),
        ):
            for content in contents:
                if content.state == CHANGED:
                    yield f"{content.path}: {CHANGED} {self.name} {did}"
                elif content.state not in (HERE, CACHED, COMMITTED):
                    yield f"{content.path}: {content.state}"
        for key, value in self.changed.items():
            yield f"{PARAMS}: {key} was {self.parameters.get(key)}, and is {value}"


class Lineage(NamedTuple):
    """Steps that made something, the last first; steps that used it, the first first."""

    made_by: tuple[Step, ...]
    used_by: tuple[Step, ...]

    def faults(self) -> list[str]:
        """What is not as it was, each once."""
        steps = (*self.made_by, *self.used_by)
        return list(dict.fromkeys(fault for step in steps for fault in step.faults()))


def trace(thing: str) -> Lineage:
    """Of a file or folder, a metric as `reports/metrics.json:NAME`, a parameter, or a run.

    A parameter is named by its dotted name, a run by the beginning of its id. Raises UserError if
    it is none of them.
    """
    path, _, metric = thing.partition(f"{METRICS.suffix}:")
    path = f"{path}{METRICS.suffix}" if metric else thing
    if Path(path).is_absolute():
        path = os.path.relpath(path)
    with opened(PIPELINE) as (client, [pipeline]):
        book = _Book(client, pipeline)
        stages = provenance.recorded_stages()
        made = [name for name in stages if _lies_in(path, provenance.outputs(name))]
        used = [name for name in stages if _is_read(path, name)]
        if not made and not used:
            return Lineage(tuple(book.steps_of(_find(client, thing))), ())
        if metric and not made:
            raise UserError(f"{path}: no stage makes it, so it has no metrics")
        _check_it_exists(path, (place for name in made for place in provenance.outputs(name)))
        before = _closure(made, provenance.upstream)
        after = _closure(used, provenance.downstream)
        lineage = Lineage(
            tuple(book.present(name) for name in reversed(stages) if name in before),
            tuple(book.present(name) for name in stages if name in after),
        )
        if metric:
            _check_metric(client, lineage.made_by[0], path, metric)
        return lineage


def _lies_in(path: str, places: Iterable[str]) -> bool:
    """Whether the path is one of the places, or lies in one, or around one."""
    here = Path(path)
    return any(
        here == place or here in place.parents or place in here.parents
        for place in map(Path, places)
    )


def _check_it_exists(path: str, folders: Iterable[str]) -> None:
    """Raise UserError for a file that is not in the folder of a stage, if that is there itself."""
    for folder in map(Path, folders):
        if folder in Path(path).parents and folder.exists() and not Path(path).exists():
            raise UserError(f"{path}: not found; {folder} has no such file")


def _is_read(thing: str, stage: str) -> bool:
    execution = provenance.execution(stage)
    names = flatten(execution.params)
    return _lies_in(thing, execution.deps) or any(
        f"{key}.".startswith(f"{thing}.") for key in names
    )


def _closure(stages: Iterable[str], neighbours: Callable[[str], list[str]]) -> set[str]:
    found, waiting = set[str](), [*stages]
    while waiting:
        if (stage := waiting.pop()) not in found:
            found.add(stage)
            waiting += neighbours(stage)
    return found


def _check_metric(client: "MlflowClient", step: Step, path: str, metric: str) -> None:
    """Raise UserError unless the file has the metric, with the value that the run has."""
    try:
        value = value_at(json.loads(Path(path).read_text("utf-8")), metric)
    except (KeyError, ValueError, OSError) as error:  # it may be damaged or missing
        raise UserError(f"{path}: {metric} cannot be read from it") from error
    logged = client.get_run(step.run).data.metrics if step.run else {}
    if logged.get(metric.replace(".", "_"), value) != value:
        raise UserError(f"{path}: {metric} is {value}, but its run {step.run} has another value")


def _find(client: "MlflowClient", begin: str) -> "Entry":
    runs = client.search_runs(existing(client), max_results=50_000)
    found = [run for run in runs if begin and run.info.run_id.startswith(begin)]
    if len(found) != 1:
        raise UserError(
            f"{begin}: should be a file or folder that `dvc repro` has made or read, a parameter, "
            f"or the beginning of one run's id in MLflow, not of {len(found)}"
        )
    return found[0]


class _Book:
    """Steps, from dvc.lock or from MLflow's tags; each hash is computed once."""

    def __init__(self, client: "MlflowClient", pipeline: str) -> None:
        self._client, self._pipeline = client, pipeline
        self._now = flatten(read())
        self._md5, self._md5_in_git = cache(provenance.md5), cache(provenance.md5_in_git)

    def present(self, stage: str) -> Step:
        """What made the present outputs of a stage, also if DVC took them from its cache."""
        execution = provenance.execution(stage)
        parameters = flatten(execution.params)
        entry = made_by(self._client, self._pipeline, execution)
        tags = entry.data.tags if entry else {}
        return Step(
            name=stage,
            command=execution.cmd,
            run=entry.info.run_id if entry else None,
            commit=tags.get("git.commit"),
            dirty=tags.get("git.dirty") == "true",
            parameters=parameters,
            changed={
                key: self._now.get(key)
                for key, value in parameters.items()
                if self._now.get(key) != value
            },
            code=self._here(execution.code() | execution.script()),
            inputs=self._here(execution.data()),
            outputs=self._here(provenance.outputs(stage)),
        )

    def steps_of(self, entry: "Entry") -> Iterator[Step]:
        """A run's own, and those of the runs that made what it used, each once."""
        waiting, seen = [entry], {entry.info.run_id}
        while waiting:
            entry = waiting.pop(0)
            yield self._past(entry)
            for run_id in reversed(_tagged(entry, "upstream.").values()):
                if run_id not in seen:
                    seen.add(run_id)
                    waiting += _by_id(self._client, run_id)

    def _past(self, entry: "Entry") -> Step:
        tags = entry.data.tags
        commit = tags.get("git.commit")
        return Step(
            name=str(entry.info.run_name),
            command=tags.get("mlflow.source.name", ""),
            run=entry.info.run_id,
            commit=commit,
            dirty=tags.get("git.dirty") == "true",
            parameters=entry.data.params,
            changed={},
            code=self._once(_tagged(entry, "code."), commit),
            inputs=self._once(_tagged(entry, "input."), None),
            outputs=(),
        )

    def _here(self, contents: Mapping[str, str]) -> tuple[Content, ...]:
        return tuple(Content(path, md5, self._state(path, md5)) for path, md5 in contents.items())

    def _state(self, path: str, md5: str) -> str:
        if not Path(path).exists():
            return MISSING
        return HERE if self._md5(Path(path)) == md5 else CHANGED

    def _once(self, contents: Mapping[str, str], commit: str | None) -> tuple[Content, ...]:
        """Contents of an earlier run, looked for here, in DVC's cache and in git."""
        found = []
        for path, md5 in contents.items():
            state = self._state(path, md5)
            if state != HERE:
                state = CACHED if _is_cached(md5) else GONE
                if commit and self._md5_in_git(commit, path) == md5:
                    state = COMMITTED
            found.append(Content(path, md5, state))
        return tuple(found)


def _by_id(client: "MlflowClient", run_id: str) -> list["Entry"]:
    """The run; nothing if it has been removed from MLflow."""
    from mlflow.exceptions import MlflowException

    try:
        return [client.get_run(run_id)]
    except MlflowException:
        warn(f"run {run_id} is no longer in MLflow: what made it is not known")
        return []


def _tagged(entry: "Entry", begin: str) -> dict[str, str]:
    tags = entry.data.tags.items()
    return {key.removeprefix(begin): value for key, value in tags if key.startswith(begin)}


def _is_cached(md5: str) -> bool:
    """Whether DVC's cache has this content, or a folder's list and all that is in it."""
    file = cached(md5)
    if file is None:
        return False
    return not md5.endswith(".dir") or all(map(_is_cached, members(file).values()))
