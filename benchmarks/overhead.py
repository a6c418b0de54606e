"""Row 9: the CPU seconds of tracking and reporting in the default train stage, against 2 % of its
training's.

    python -m benchmarks.overhead

Runs the stage in a copy of this checkout in which MLflow has had runs before. Counted are the
imports that tracking needs, opening the store, git and the hashes of code and data, every write,
and the lines on the terminal.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.rows import Pair, record
from src.core import paths
from tests.clones import Clone, clone
from tests.conftest import ROOT

SHARE = 0.02
TURNS = 3


def measure(project: Clone) -> Pair:
    """CPU seconds of tracking and reporting, and the most that they should be."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.metered"],
        cwd=project.root,
        env=os.environ | {"GOMP_SPINCOUNT": "0"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    overhead, training = json.loads(done.stdout.splitlines()[-1])
    print(f"{overhead:.2f} of {training:.1f} CPU s: {overhead / training:.1%}", flush=True)
    return overhead, SHARE * training


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = clone(Path(folder))
        shutil.copy(ROOT / paths.PARAMS, project.root)
        project.call("dvc", "repro", "preprocess")
        pairs = [measure(project) for _ in range(TURNS)]
    record(9, "tracking and reporting, of a training", "2 % of the training", "CPU s", pairs, 1)


if __name__ == "__main__":
    main()
