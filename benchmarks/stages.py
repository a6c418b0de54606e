"""Row 8: what the default pipeline takes besides fit() and the analyses of evaluate.

    python -m benchmarks.stages [OTHER]

Runs in a copy of this checkout, and of OTHER, an earlier one, if it is given: all stages anew
(`dvc repro --force`) with the parameters as they are. A first run, not counted, makes MLflow's
database. Counted are DVC, the starts and imports of five processes, tracking, reading and writing;
the pictures and tables that evaluate publishes, too.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.checkouts import copy
from benchmarks.clocked import MARK
from benchmarks.rows import record
from src.core import paths
from tests.conftest import ROOT

CEILING = 20.0  # seconds
TURNS = 2
STAGE = "python -m pipeline."


def add_clocks(checkout: Path, folder: Path) -> Path:
    """A copy of the checkout with clocks in its stages."""
    copy(checkout, folder)
    shutil.copy(ROOT / "benchmarks/clocked.py", folder / "benchmarks")
    declared = (folder / paths.DVC_YAML).read_text()
    measured = declared.replace(STAGE, "python -m benchmarks.clocked ")
    (folder / paths.DVC_YAML).write_text(measured)
    return folder


def seconds_besides_work(folder: Path) -> float:
    """Seconds of the whole pipeline, without those that its clocks tell; prints each stage's."""
    env = {
        key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW"))
    }
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--force"],
        cwd=folder,
        env={**env, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    spent, stage, since = dict[str, float](), "dvc", started
    for line in process.stdout:
        if starting := re.match(r"Running stage '(\w+)'", line):
            spent[stage] = time.perf_counter() - since
            stage, since = starting[1], time.perf_counter()
        if line.startswith(MARK):
            since += float(line.split()[-1])
    if process.wait() != 0:
        sys.exit("dvc repro failed")
    spent[stage] = time.perf_counter() - since
    each = ", ".join(f"{name} {seconds:.1f}" for name, seconds in spent.items())
    print(f"{time.perf_counter() - started:.1f} s; without the work: {each}", flush=True)
    return sum(spent.values())


def main() -> None:
    checkouts = [ROOT, *(Path(other).resolve() for other in sys.argv[1:])]
    with tempfile.TemporaryDirectory() as folder:
        copies = [
            add_clocks(checkout, Path(folder) / str(number))
            for number, checkout in enumerate(checkouts)
        ]
        turns = [[seconds_besides_work(each) for each in copies] for _ in range(1 + TURNS)][1:]
    for times in turns:
        print(", against the other checkout ".join(f"{seconds:.1f} s" for seconds in times))
    record(
        8,
        "the default pipeline besides fit() and the analyses",
        "at most",
        "s",
        [(times[0], CEILING) for times in turns],
        1,
    )


if __name__ == "__main__":
    main()
