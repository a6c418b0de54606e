"""Does a new study come out exact if 16 processes begin it at once?

    python -m benchmarks.crowd

Ten times, each time in a copy of the repository, where there is no database yet: 16 commands with a
worker each, 20 trials of two epochs in all.
"""

import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd

from tests.clones import clone

PROCESSES, TRIALS, TURNS = 16, 20, 10


def main() -> None:
    for turn in range(1, TURNS + 1):
        with tempfile.TemporaryDirectory() as folder:
            project = clone(Path(folder))
            command = ("python", "-m", "src.tune", "--trials", str(TRIALS), "--workers", "1")
            started = time.monotonic()
            processes = [project.start(*command) for _ in range(PROCESSES)]
            printed = [process.communicate()[0] for process in processes]
            rows = pd.read_csv(project.root / "reports/tune/sweep.csv")
            print(
                f"{turn}: {time.monotonic() - started:.0f} s, "
                f"ended {dict(Counter(process.returncode for process in processes))}, "
                f"{sum('Traceback' in text for text in printed)} tracebacks, "
                f"in Optuna {dict(Counter(rows['state']))}, "
                f"in MLflow {dict(Counter(run.info.status for run in project.runs('tune')))}",
                flush=True,
            )


if __name__ == "__main__":
    main()
