"""Repositories of their own, in which commands run as they do at the prompt."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from ruamel.yaml import YAML

from src.data.imageset import load_images, save_images
from tests.conftest import PARAMS, ROOT

STAGES = ["download", "preprocess", "train", "finetune", "compress", "evaluate"]


@dataclass(frozen=True)
class Clone:
    """A repository of its own, with the files of the working tree and shrunk parameters."""

    root: Path

    def call(self, *command: str, fails: bool = False) -> str:
        """What the command prints."""
        printed, _ = (process := self.start(*command)).communicate()
        assert bool(process.returncode) == fails, printed
        return printed

    def document(self, *command: str) -> tuple[Any, str]:
        """What the command, with --json, prints on stdout, and on stderr for people."""
        done = self.start(*command, "--json", stderr=subprocess.PIPE)
        printed, told = done.communicate()
        assert done.returncode == 0, told
        return json.loads(printed), told

    def here(self, module: str, *arguments: str, fails: bool = False) -> str:
        """What `python -m module` prints, called in this process, which has imported it all."""
        printed, code = io.StringIO(), None
        handler = signal.getsignal(signal.SIGTERM)
        with (
            pytest.MonkeyPatch.context() as patch,
            redirect_stdout(printed),
            redirect_stderr(printed),
        ):
            patch.chdir(self.root)
            patch.setenv("DVC_ROOT", str(self.root))
            patch.setattr(sys, "argv", [module, *arguments])
            try:
                import_module(module).main()
            except SystemExit as end:
                code = end.code
                if isinstance(code, str):  # the interpreter would show it
                    print(code)
            finally:
                signal.signal(signal.SIGTERM, handler)
        assert bool(code) == fails, printed.getvalue()
        return printed.getvalue()

    def start(self, *command: str, stderr: int = subprocess.STDOUT) -> subprocess.Popen[str]:
        """The command as a process whose stdout has all that it prints, unless told otherwise."""
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DVC_", "MLFLOW_", "GIT_")) and name != "DATA_MIRROR"
        }
        env["PATH"] = f"{ROOT / '.venv' / 'bin'}:{env['PATH']}"
        env["PYTHONPATH"] = str(ROOT / "tests/firewall")
        env["IDXFLOW_NOTES"] = str(self._notes)
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )

    @property
    def _notes(self) -> Path:
        return self.root / ".dvc/tmp/opened"

    def test_readers(self) -> set[str]:
        """The stages, commands and workers that have opened test images, but for DVC itself."""
        lines = self._notes.read_text().splitlines() if self._notes.exists() else []
        return {name for line in lines for name in re.findall(r"(?:src|pipeline)\.[\w.]+", line)}

    @contextmanager
    def shuffled_tests(self) -> Iterator[None]:
        """The labels of the test images are mixed up."""
        files = {path: path.read_bytes() for path in self.root.glob("data/tensors/*/test.*")}
        assert len(files) == 2
        for path in files:
            data = load_images(path)
            save_images(path, replace(data, labels=data.labels.flip(0)))
            assert path.read_bytes() != files[path]
        try:
            yield
        finally:
            for path, content in files.items():
                path.write_bytes(content)

    def commit(self) -> None:
        self.call("git", "add", "--all")
        who = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        self.call("git", *who, "commit", "--quiet", "--message", "test", "--no-verify")

    def reset(self) -> None:
        """Take back what differs from the last commit, and what the stages made of it."""
        changed = self.call("git", "diff", "--name-only").splitlines()
        self.call("git", "checkout", "--quiet", ".")
        if "dvc.lock" in changed:
            self.call("dvc", "checkout", "--quiet", "--force")
            assert self.stale() == set()

    def stages_run(self, *command: str) -> list[str]:
        """The stages that the command executes, in order."""
        printed = self.call(*command)
        return re.findall(r"^Running stage '(.+)':", printed, re.MULTILINE)

    def stale(self) -> set[str]:
        """The stages whose own code, parameters or data differ from those of their results."""
        return set(json.loads(self.call("dvc", "status", "--json", "dvc.yaml")))

    def outputs(self) -> dict[str, str]:
        """Path and hash of all that the stages made."""
        lock = YAML(typ="safe", pure=True).load(self.root / "dvc.lock")
        return {
            out["path"]: out["md5"] for entry in lock["stages"].values() for out in entry["outs"]
        }

    def runs(self, experiment_name: str = "pipeline") -> list[Run]:
        """All runs of an experiment in MLflow, the oldest first."""
        client = MlflowClient(f"sqlite:///{self.root / 'mlflow.db'}")
        experiment = client.get_experiment_by_name(experiment_name)
        assert experiment is not None
        found = client.search_runs([experiment.experiment_id], order_by=["start_time ASC"])
        return list(found)


def clone(to: Path) -> Clone:
    """The working tree, with shrunk parameters and no results, in an empty folder."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    (to / "dvc.lock").unlink(missing_ok=True)
    shutil.copy(PARAMS, to / "params.yaml")
    made = Clone(to)
    made.call("git", "init", "--quiet", "--initial-branch=main")
    made.commit()
    return made
