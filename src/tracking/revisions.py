"""The results that a dvc.lock names: of the workspace, or of a commit, such as an experiment's."""

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from src.config.parsing import read
from src.config.values import flatten
from src.core.errors import UserError
from src.core.paths import DVC_LOCK, EVALUATION, IMAGE_SETS, METRICS, PARAMS
from src.tracking import provenance
from src.tracking.cache import cached, members
from src.tracking.git import git, git_bytes

WORKSPACE = "workspace"
EVALUATE = "evaluate"
PREDICTIONS = "predictions_*.csv"
TESTS = {role: IMAGE_SETS[f"{role}.test"] for role in ("source", "target")}

Fingerprint = Callable[[Path], str]  # of a file with test images: equal for equal images


class Evaluated(NamedTuple):
    """A finished pipeline."""

    name: str  # as it was asked for
    run: str | None  # its id in MLflow, if it was found there
    commit: str | None  # if it was found by its dvc.lock there
    parameters: dict[str, Any]  # those that a stage reads, by dotted name
    metrics: dict[str, float]  # by dotted name
    tests: dict[str, str]  # by role, the fingerprint of the test images; "" where it is not known
    predictions: dict[str, Path]  # tables by name


def find_commit(name: str) -> str | None:
    """The commit of a revision or a DVC experiment; None if it is neither."""
    try:
        return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except (OSError, subprocess.CalledProcessError):
        return _find_experiment(name)


def _find_experiment(name: str) -> str | None:
    try:
        listed = git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/??/*/*")
    except (OSError, subprocess.CalledProcessError):
        return None
    commits = [
        commit
        for commit, _, ref in (line.partition(" ") for line in listed.splitlines())
        if ref.rpartition("/")[2] == name
    ]
    if len(commits) > 1:
        raise UserError(
            f"{name}: {len(commits)} experiments have this name; give the commit of one: "
            f"{', '.join(commit[:12] for commit in commits)}"
        )
    return commits[0] if commits else None


def of_workspace(fingerprint: Fingerprint) -> Evaluated:
    return _evaluated(WORKSPACE, None, Path(), fingerprint)


def of_commit(name: str, commit: str, folder: Path, fingerprint: Fingerprint) -> Evaluated:
    """folder: takes the commit's files."""
    for file in (DVC_LOCK, PARAMS):
        try:
            content = git_bytes("show", f"{commit}:./{file}")
        except subprocess.CalledProcessError as error:
            raise UserError(
                f"{name}: commit {commit[:12]} has no {file}; commit what `dvc repro` makes"
            ) from error
        folder.mkdir(exist_ok=True)
        (folder / file).write_bytes(content)
    return _evaluated(name, commit, folder, fingerprint)


def _evaluated(name: str, commit: str | None, place: Path, fingerprint: Fingerprint) -> Evaluated:
    """Of the dvc.lock and the params.yaml in this place."""
    try:
        stages = provenance.locked(place / DVC_LOCK)
        values = flatten(read(place / PARAMS))
    except UserError as error:
        raise UserError(f"{name}: {str(error).replace(f'{place}/', '')}") from error
    if EVALUATE not in stages:
        raise UserError(f"{name}: no stage {EVALUATE} in {DVC_LOCK}; `dvc repro` there runs it")
    entry = stages[EVALUATE]
    contents = {each["path"]: each["md5"] for each in (*entry["deps"], *entry["outs"])}
    return Evaluated(
        name,
        None,
        commit,
        _parameters(name, [stages[stage] for stage in _behind(name, EVALUATE, stages)], values),
        flatten(json.loads(_kept(name, METRICS, contents).read_bytes())),
        {role: fingerprint(_kept(name, path, contents)) for role, path in TESTS.items()},
        _predictions(name, contents),
    )


def _behind(name: str, stage: str, stages: Mapping[str, Any]) -> set[str]:
    """The stage and those that led to it; UserError if they have run since, and it has not."""
    behind = {stage}
    used = {dep["path"]: dep["md5"] for dep in stages[stage].get("deps", ())}
    for other, entry in stages.items():
        for out in entry.get("outs", ()):
            path = out["path"]
            if used.get(path, out["md5"]) != out["md5"]:
                raise UserError(
                    f"{name}: {stage} has not run since {other} changed {path}; `dvc repro` there "
                    "runs it"
                )
            if path in used:
                behind |= _behind(name, other, stages)
    return behind


def _parameters(
    name: str, entries: Iterable[Mapping[str, Any]], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Those of these stages; UserError if params.yaml has other values by now."""
    used: dict[str, Any] = {}
    for entry in entries:
        used |= flatten(entry.get("params", {}).get(str(PARAMS), {}))
    now = acting(values, {key.partition(".")[0] for key in used})
    for key in used | now:
        if used.get(key) != now.get(key):
            raise UserError(
                f"{name}: {key} was {used.get(key)} when the results were made, and is "
                f"{now.get(key)} in {PARAMS}; `dvc repro` there makes them anew"
            )
    return now


def acting(values: Mapping[str, Any], sections: Iterable[str]) -> dict[str, Any]:
    """The parameters of these sections."""
    return {key: value for key, value in values.items() if key.partition(".")[0] in sections}


def _kept(name: str, path: Path, contents: Mapping[str, str]) -> Path:
    """A place with this file or folder as it was: its own, or in the cache."""
    md5 = contents.get(str(path))
    if md5 and path.exists() and provenance.md5(path) == md5:
        return path
    if md5 and (place := cached(md5)):
        return place
    raise UserError(
        f"{name}: {path} is neither here nor in DVC's cache as it was made; `dvc pull` or "
        "`dvc repro` there brings it back"
    )


def _predictions(name: str, contents: Mapping[str, str]) -> dict[str, Path]:
    folder = _kept(name, EVALUATION, contents)
    if folder.is_dir():
        return {path.name: path for path in folder.glob(PREDICTIONS)}
    listed = {str(EVALUATION / path): md5 for path, md5 in members(folder).items()}
    return {
        Path(path).name: _kept(name, Path(path), listed)
        for path in listed
        if Path(path).match(PREDICTIONS)
    }
