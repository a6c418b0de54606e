"""Finished pipelines, by the names that people have for them."""

import ast
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from src.config.parsing import read
from src.config.values import flatten
from src.core.errors import UserError, first_line
from src.core.paths import DVC_YAML, EVALUATION, METRICS
from src.core.secrets import without_secrets
from src.tracking.revisions import (
    EVALUATE,
    PREDICTIONS,
    TESTS,
    WORKSPACE,
    Evaluated,
    Fingerprint,
    acting,
    find_commit,
    of_commit,
    of_workspace,
)
from src.tracking.store import PIPELINE, opened

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as Entry


@contextmanager
def evaluations(names: Sequence[str], fingerprint: Fingerprint) -> Iterator[list[Evaluated]]:
    """The finished pipelines of these names, with their files for as long as the block lasts.

    A name is `workspace`, the path of a params file, a revision in git, the name of a DVC
    experiment, or the name, the id or its beginning of a run in MLflow: an evaluate run, or one
    that it is based on. Raises UserError if it is none of them, or its evaluation is not whole.
    """
    with TemporaryDirectory() as copies, ExitStack() as stack:
        # Opened only if a name needs it: the others work without MLflow.
        runs = cache(lambda: _Runs(stack.enter_context(opened(PIPELINE)), Path(copies)))
        yield [_evaluated(name, runs, Path(copies), fingerprint) for name in names]


def _evaluated(
    name: str, runs: Callable[[], "_Runs"], copies: Path, fingerprint: Fingerprint
) -> Evaluated:
    if name == WORKSPACE:
        return of_workspace(fingerprint)
    if name.endswith((".yaml", ".yml")):
        return _made_with(name, runs, fingerprint)
    commit = find_commit(name)
    if commit is None:
        return runs().evaluation(name)
    if re.fullmatch("[0-9a-f]+", name) and runs().named(name):
        raise UserError(f"{name}: names a commit and a run in MLflow; give more of it")
    return of_commit(name, commit, copies / commit, fingerprint)


def _made_with(path: str, runs: Callable[[], "_Runs"], fingerprint: Fingerprint) -> Evaluated:
    """What was made with the parameters of this file: the present results, or the latest run."""
    wanted = _acting(flatten(read(Path(path))))
    try:
        present = of_workspace(fingerprint)
    except UserError:  # there are none, or they are not of one piece
        return runs().made_with(path, wanted)
    if present.parameters == wanted:
        return present._replace(name=path)
    return runs().made_with(path, wanted)


def _acting(values: dict[str, Any]) -> dict[str, Any]:
    """The parameters that a stage reads."""
    stages = read(DVC_YAML)["stages"].values()
    return acting(values, {key.partition(".")[0] for stage in stages for key in stage["params"]})


class _Runs:
    """The runs of the pipeline's stages, the newest first."""

    def __init__(self, store: tuple["MlflowClient", list[str]], copies: Path) -> None:
        from mlflow.entities import ViewType

        self._client, experiments = store
        self._copies = copies
        # Deleted ones, too, because they can be brought back.
        self._entries = self._client.search_runs(
            experiments, run_view_type=ViewType.ALL, max_results=50_000
        )

    def named(self, name: str) -> list["Entry"]:
        return [
            entry
            for entry in self._entries
            if name and (entry.info.run_id.startswith(name) or entry.info.run_name == name)
        ]

    def evaluation(self, name: str) -> Evaluated:
        """The one of this name, or, of one that others are based on, the latest of these."""
        named = self.named(name)
        if len(named) != 1:
            raise UserError(
                f"{name!r}: should be a revision in git, a DVC experiment, {WORKSPACE}, a params "
                f"file, or the name or the beginning of the id of one run in MLflow, not of "
                f"{len(named)}"
            )
        [entry] = named
        run, stage = entry.info.run_id, entry.data.tags.get("dvc.stage", "no stage")
        if entry.info.lifecycle_stage == "deleted":
            raise UserError(
                f"{name}: deleted in MLflow; `mlflow runs restore --run-id {run}` brings it back"
            )
        if stage == EVALUATE and entry.info.status != "FINISHED":
            reason = first_line(entry.data.tags.get("error", "it may still be running"))
            raise UserError(
                f"{name}: this run of {EVALUATE} is {entry.info.status}, not FINISHED: {reason}"
            )
        for other in self._finished():
            if run in (other.info.run_id, other.data.tags.get(f"upstream.{stage}")):
                return self._evaluated(name, other)
        raise UserError(
            f"{name}: a run of {stage} on which no finished evaluate run is based; `dvc repro` "
            "with its parameters makes one"
        )

    def made_with(self, path: str, wanted: dict[str, Any]) -> Evaluated:
        """The latest with these parameters."""
        for entry in self._finished():
            if _parameters(entry) == wanted:
                return self._evaluated(path, entry)
        raise UserError(
            f"{path}: no finished evaluate run has its parameters; `dvc repro` with them in "
            "params.yaml makes one"
        )

    def _finished(self) -> Iterator["Entry"]:
        for entry in self._entries:
            info, tags = entry.info, entry.data.tags
            finished = (info.lifecycle_stage, info.status) == ("active", "FINISHED")
            if finished and tags.get("dvc.stage") == EVALUATE:
                yield entry

    def _evaluated(self, name: str, entry: "Entry") -> Evaluated:
        from mlflow.exceptions import MlflowException

        run = entry.info.run_id
        folder = self._copies / run  # so that an error in a file names its run
        folder.mkdir(exist_ok=True)
        try:
            for artifact in (METRICS.name, EVALUATION.name):
                self._client.download_artifacts(run, artifact, str(folder))
            metrics = flatten(json.loads((folder / METRICS.name).read_bytes()))
        except (MlflowException, OSError, ValueError) as error:
            reason = without_secrets(first_line(error))
            raise UserError(
                f"{name}: files of run {run} are missing or damaged in MLflow ({reason}); "
                "`dvc repro` with its parameters makes them anew"
            ) from error
        return Evaluated(
            name,
            run,
            None,
            _parameters(entry),
            metrics,
            {role: entry.data.tags.get(f"test.{role}", "") for role in TESTS},
            {path.name: path for path in (folder / EVALUATION.name).glob(PREDICTIONS)},
        )


def _parameters(entry: "Entry") -> dict[str, Any]:
    return _acting({key: _value(text) for key, text in entry.data.params.items()})


def _value(text: str) -> Any:
    """MLflow keeps values as what Python prints of them."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
