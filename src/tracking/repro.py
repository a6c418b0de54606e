"""Run the stages whose outputs a command needs, if these are missing or stale."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from src.core.errors import UserError
from src.core.paths import root
from src.tracking.provenance import is_current


def bring_up_to_date(stage: str, outputs: Sequence[Path]) -> None:
    """Run `stage`, and those before it, unless `outputs` are what it would make."""
    lock = root() / ".dvc/tmp/idxflow.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):  # DVC refuses to run twice at a time
        if is_current(stage, outputs):
            return
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "repro", stage],
            env={**os.environ, "PATH": path},
            stdout=2,  # stdout is for the results of the command that asks
            check=False,
        )
    if done.returncode:
        raise UserError(f"dvc repro {stage}: failed; the reason is above")
