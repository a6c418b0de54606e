"""Does a new study end with the exact number of trials if 16 processes start it at once?

    python -m benchmarks.crowd

Repeated ten times, each in a new copy of the repository without a database: 16 commands with one
worker each run 20 trials, of two epochs each, in total.
"""

import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd

from tests.clones import clone

PROCESSES, TRIALS, REPEATS = 16, 20, 10


def main() -> None:
    for repeat in range(1, REPEATS + 1):
        with tempfile.TemporaryDirectory() as folder:
            project = clone(Path(folder))
            command = ("python", "-m", "src.tune", "--trials", str(TRIALS), "--workers", "1")
            started = time.monotonic()
            processes = [project.start(*command) for _ in range(PROCESSES)]
            printed = [process.communicate()[0] for process in processes]
            rows = pd.read_csv(project.root / "reports/tune/sweep.csv")
            print(
                f"{repeat}: {time.monotonic() - started:.0f} s, "
                f"ended {dict(Counter(process.returncode for process in processes))}, "
                f"{sum('Traceback' in text for text in printed)} tracebacks, "
                f"in Optuna {dict(Counter(rows['state']))}, "
                f"in MLflow {dict(Counter(run.info.status for run in project.runs('tune')))}",
                flush=True,
            )


if __name__ == "__main__":
    main()
