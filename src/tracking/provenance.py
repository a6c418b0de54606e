"""Which stage execution made what: a hash that a running stage and dvc.lock agree on.

The hash covers the command, the contents of the dependencies and the parameters. A stage computes
its own before DVC has recorded it; the stages above it compute it from dvc.lock. So a result taken
from DVC's cache still leads to the run that made it.
"""

import hashlib
import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from src.config.parsing import read
from src.core import paths
from src.core.errors import UserError, first_line, warn
from src.core.paths import DVC_IGNORE, DVC_LOCK, DVC_YAML, PARAMS
from src.tracking.git import git, git_bytes

CODE = ("src", "pipeline", "dvc.yaml")


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

    def script(self) -> dict[str, str]:
        """The stage's own file, which only wires the code together."""
        others = self.data() | self.code()
        return {path: md5 for path, md5 in self.deps.items() if path not in others}


def running(stage: str) -> Execution:
    """The execution of `stage` as it would run now, from dvc.yaml and the present files."""
    declared = read(DVC_YAML)["stages"][stage]
    deps = {path: md5(Path(path)) for path in declared["deps"]}
    tree = read(PARAMS)
    params = {key: reduce(dict.__getitem__, key.split("."), tree) for key in declared["params"]}
    return Execution(declared["cmd"], deps, params)


def deciding_code(stage: str) -> dict[str, str]:
    """The folders whose code decides the result of `stage`, and the MD5 of their content now."""
    deps = read(DVC_YAML)["stages"][stage]["deps"]
    return {path: md5(Path(path)) for path in deps if _decides(path)}


def packages() -> dict[str, str]:
    """The versions of the packages that decide the result of a training."""
    return {name: version(name) for name in ("numpy", "scikit-learn", "torch")}


def environment() -> dict[str, str]:
    """What machines must have in common to train alike: Python, packages, lock and code.

    The code is that of the checkout in the present folder, with that of the workers' messages.
    """
    files = ("requirements.lock", "src/execution")
    return {
        "Python": platform.python_version(),
        **packages(),
        **{path: md5(Path(path)) for path in files},
        **deciding_code("train"),
    }


def contents(files: Mapping[str, Path]) -> dict[str, str]:
    """The MD5 of the content of each file; UserError if one is missing."""
    return {name: md5(path) for name, path in files.items()}


def recorded(stage: str) -> Execution | None:
    """The execution of `stage` that made its present outputs, from dvc.lock, if there is one."""
    entry = locked().get(stage)
    if entry is None:
        return None
    deps = {dep["path"]: dep["md5"] for dep in entry.get("deps", ())}
    return Execution(entry["cmd"], deps, entry.get("params", {}).get(str(PARAMS), {}))


def recorded_stages() -> list[str]:
    """The stages that dvc.lock has, in the order of dvc.yaml."""
    return [name for name in read(DVC_YAML)["stages"] if name in locked()]


def execution(stage: str) -> Execution:
    """That of a stage in `recorded_stages`."""
    found = recorded(stage)
    assert found is not None
    return found


def outputs(stage: str) -> dict[str, str]:
    """The files and folders that a recorded stage made, and the MD5 that they had then."""
    return {out["path"]: out["md5"] for out in locked()[stage].get("outs", ())}


def is_current(stage: str, wanted: Sequence[Path]) -> bool:
    """Whether the outputs `wanted` of `stage` exist, and are what it would make now."""
    entry = locked().get(stage)
    if entry is None:
        return False
    made = outputs(stage)
    try:
        return running(stage) == recorded(stage) and all(
            md5(path) == made.get(str(path)) for path in wanted
        )
    except UserError:  # a file is missing
        return False


def _decides(path: str) -> bool:
    """Whether a dependency is a folder of code; a stage's script only wires it."""
    return path.startswith("src/")


def downstream(stage: str) -> list[str]:
    """The stages that read its outputs."""
    return [name for name in read(DVC_YAML)["stages"] if stage in upstream(name)]


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
        commit = git("rev-parse", "HEAD")
        # Only the code counts: DVC itself changes dvc.lock and params.yaml while it works.
        changes = git("status", "--porcelain", "--untracked-files=all", "--", *CODE)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode() or str(error)
        reason = first_line(said).removeprefix("fatal: ")
        warn(f"runs here do not name the commit of their code: {reason}")
        return {}
    return {
        "git.commit": commit,
        "git.dirty": str(bool(changes)).lower(),
        "mlflow.source.git.commit": commit,
    }


def committed_params() -> dict[str, Any]:
    """The content of params.yaml in the last commit; nothing without git."""
    try:
        tree = YAML(typ="safe", pure=True).load(git("show", f"HEAD:./{PARAMS}"))
    except (OSError, YAMLError, subprocess.CalledProcessError):
        return {}
    return tree if isinstance(tree, dict) else {}


def warn_of_shallow_clone() -> None:
    """DVC does not bring experiments of its copies into a clone without history; it exits 0."""
    if (paths.root() / ".git/shallow").exists() and Path.cwd() != paths.root():
        warn("DVC keeps no experiment in a shallow clone; first: git fetch --unshallow")


def md5(path: Path) -> str:
    """The content's hash as DVC computes it; for a folder, that of a list of its files' hashes."""
    if path.is_dir():
        files = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
        ignored = DVC_IGNORE.read_text("utf-8") if DVC_IGNORE.exists() else ""
        return _md5_of_folder(path, files, ignored, lambda file: md5(path / file))
    if not path.exists():
        raise UserError(f"{path}: not found; `dvc repro` makes it")
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_in_git(commit: str, path: str) -> str | None:
    """The hash of a file or folder in a commit; None if git does not have it."""

    def show(file: str) -> bytes:
        return git_bytes("show", f"{commit}:./{file}")

    try:
        listed = git("ls-tree", "-r", "--name-only", commit, "--", path).splitlines()
        if listed == [path]:
            return _md5_of(show(path))
        files = [name.removeprefix(f"{path}/") for name in listed]
        ignored = show(str(DVC_IGNORE)).decode()
        return _md5_of_folder(
            Path(path), files, ignored, lambda file: _md5_of(show(f"{path}/{file}"))
        )
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


def _md5_of_folder(
    folder: Path, files: Iterable[str], ignored: str, hashed: Callable[[str], str]
) -> str:
    """ignored: the lines of .dvcignore, among them code that cannot change a result."""
    spec = GitIgnoreSpec.from_lines(ignored.splitlines())
    kept = sorted(file for file in files if not spec.match_file(folder / file))
    listing = [{"md5": hashed(file), "relpath": file} for file in kept]
    return f"{_md5_of(json.dumps(listing).encode())}.dir"


def _md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def locked(path: Path = DVC_LOCK) -> dict[str, Any]:
    """The stages of a dvc.lock, as DVC wrote them; none if there is no such file."""
    if not path.exists():
        return {}
    stages: dict[str, Any] = read(path).get("stages", {})
    for entry in stages.values():
        for content in (*entry.get("deps", ()), *entry.get("outs", ())):
            if not {"path", "md5"} <= content.keys():
                raise UserError(f"{DVC_LOCK}: damaged; git checkout {DVC_LOCK} brings it back")
    return stages
