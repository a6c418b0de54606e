"""Which stage execution made what: a hash that a running stage and dvc.lock agree on.

The hash covers the command, the contents of the dependencies and the parameters. A stage computes
its own before DVC has recorded it; the stages above it compute it from dvc.lock. So a result taken
from DVC's cache still leads to the run that made it.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec

from src.config.parsing import read
from src.core import paths
from src.core.errors import UserError, first_line, warn
from src.core.paths import DVC_IGNORE, DVC_LOCK, DVC_YAML, PARAMS

CODE = ("src", "pipeline", "dvc.yaml")
# Set within git's hooks, where they would lead to another repository.
GIT = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")


@dataclass(frozen=True)
class Execution:
    """What decides the result of a stage: what its hash covers."""

    cmd: str
    deps: Mapping[str, str]  # path: MD5 of its content, as DVC computes it
    params: Mapping[str, Any]

    def hash(self) -> str:
        parts = {"cmd": self.cmd, "deps": self.deps, "params": self.params}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def data(self) -> dict[str, str]:
        """The dependencies that are data."""
        return {path: md5 for path, md5 in self.deps.items() if not path.startswith(CODE)}

    def code(self) -> dict[str, str]:
        """The folders whose code decides the result."""
        return {path: md5 for path, md5 in self.deps.items() if _decides(path)}


def running(stage: str) -> Execution:
    """The execution of `stage` as it would run now, from dvc.yaml and the present files."""
    declared = read(DVC_YAML)["stages"][stage]
    deps = {path: _md5(Path(path)) for path in declared["deps"]}
    tree = read(PARAMS)
    params = {key: reduce(dict.__getitem__, key.split("."), tree) for key in declared["params"]}
    return Execution(declared["cmd"], deps, params)


def deciding_code(stage: str) -> dict[str, str]:
    """The folders whose code decides the result of `stage`, and the MD5 of their content now."""
    deps = read(DVC_YAML)["stages"][stage]["deps"]
    return {path: _md5(Path(path)) for path in deps if _decides(path)}


def contents(files: Mapping[str, Path]) -> dict[str, str]:
    """The MD5 of the content of each file; UserError if one is missing."""
    return {name: _md5(path) for name, path in files.items()}


def recorded(stage: str) -> Execution | None:
    """The execution of `stage` that made its present outputs, from dvc.lock, if there is one."""
    entry = _locked().get(stage)
    if entry is None:
        return None
    deps = {dep["path"]: dep["md5"] for dep in entry["deps"]}
    return Execution(entry["cmd"], deps, entry["params"][str(PARAMS)])


def is_current(stage: str, outputs: Sequence[Path]) -> bool:
    """Whether `outputs` of `stage` exist, and are what it would make now."""
    entry = _locked().get(stage)
    if entry is None:
        return False
    made = {out["path"]: out["md5"] for out in entry["outs"]}
    try:
        return running(stage) == recorded(stage) and all(
            _md5(path) == made.get(str(path)) for path in outputs
        )
    except UserError:  # a file is missing
        return False


def _decides(path: str) -> bool:
    """Whether a dependency is a folder of code; a stage's script only wires it."""
    return path.startswith("src/")


def upstream(stage: str) -> list[str]:
    """The stages whose outputs `stage` reads."""
    stages = read(DVC_YAML)["stages"]
    deps = set(stages[stage]["deps"])
    return [
        name
        for name, other in stages.items()
        if deps & {*other.get("outs", ()), *other.get("metrics", ())}
    ]


def code_tags() -> dict[str, str]:
    """The commit, and whether the code differs from it; nothing, and a warning, without git."""
    try:
        commit = _git("rev-parse", "HEAD")
        # Only the code counts: DVC itself changes dvc.lock and params.yaml while it works.
        changes = _git("status", "--porcelain", "--untracked-files=all", "--", *CODE)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = first_line(getattr(error, "stderr", None) or error).removeprefix("fatal: ")
        warn(f"runs here do not name the commit of their code: {reason}")
        return {}
    return {
        "git.commit": commit,
        "git.dirty": str(bool(changes)).lower(),
        "mlflow.source.git.commit": commit,
    }


def warn_of_shallow_clone() -> None:
    """DVC does not bring experiments of its copies into a clone without history; it exits 0."""
    if (paths.root() / ".git/shallow").exists() and Path.cwd() != paths.root():
        warn("DVC keeps no experiment in a shallow clone; first: git fetch --unshallow")


def _md5(path: Path) -> str:
    """The content's hash as DVC computes it; for a folder, that of a list of its files' hashes."""
    if path.is_dir():
        ignored = _ignored()
        files = sorted(
            file.relative_to(path).as_posix()
            for file in path.rglob("*")
            if file.is_file() and not ignored.match_file(file)
        )
        listing = [{"md5": _md5(path / file), "relpath": file} for file in files]
        return f"{_md5_of(json.dumps(listing).encode())}.dir"
    if not path.exists():
        raise UserError(f"{path}: not found; `dvc repro` makes it")
    return _md5_of(path.read_bytes())


def _ignored() -> GitIgnoreSpec:
    """What DVC leaves out of folders, among it code that cannot change a result."""
    lines = DVC_IGNORE.read_text().splitlines() if DVC_IGNORE.exists() else []
    return GitIgnoreSpec.from_lines(lines)


def _md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _locked() -> dict[str, Any]:
    stages: dict[str, Any] = read(DVC_LOCK)["stages"] if DVC_LOCK.exists() else {}
    return stages


def _git(*arguments: str) -> str:
    """What git prints, whoever owns the checkout, and whatever the person's settings hide."""
    # Git refuses somebody else's repository because its settings can run commands; but what asks
    # here is code of that repository.
    settings = ["-c", "safe.directory=*", "-c", "core.excludesFile="]
    done = subprocess.run(
        ["git", *settings, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name not in GIT},
    )
    return done.stdout.strip()
