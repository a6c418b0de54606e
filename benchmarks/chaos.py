"""Does a study come out exact if the processes that work on it are killed with -9?

    python -m benchmarks.chaos

In a copy of the repository: 50 trials of two epochs of a small network on the embedded digits, two
workers. Every 5 seconds one of them is killed, 50 times, and twice the command itself; it is then
called again. Two epochs, because a worker lives for 10 seconds on average.
"""

import random
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import psutil

from tests.clones import Clone, clone

STUDY = "chaos"


def sweep_in_chaos(
    project: Clone, trials: int, every: float, commands: int, workers: int
) -> tuple[Counter[str], str]:
    """Sweep with two workers, one of which is killed every so many seconds, until `workers` are.

    Each third time it is the command instead, until that has been killed `commands` times. Returns
    how many of each were killed, and what was printed.
    """
    command = ("python", "-m", "src.tune", "--trials", str(trials), "--workers", "2")
    dice, killed, printed = random.Random(0), Counter[str](), ""  # noqa: S311
    while True:
        process = project.start(*command, "--study", STUDY)
        while process.poll() is None:
            time.sleep(every)
            if killed.total() % 3 == 2 and killed["commands"] < commands:
                killed["commands"] += process.poll() is None
                process.kill()
                process.wait()
            elif killed["workers"] < workers and (found := _workers(process)):
                dice.choice(found).kill()
                killed["workers"] += 1
        printed += process.communicate()[0]
        assert "Traceback" not in printed, printed
        if process.returncode == 0:
            return killed, printed


def _workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        children = psutil.Process(process.pid).children()
        return [child for child in children if "src.execution.worker" in " ".join(child.cmdline())]
    except psutil.NoSuchProcess:
        return []


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = clone(Path(folder))
        started = time.monotonic()
        killed, _ = sweep_in_chaos(project, trials=50, every=5.0, commands=2, workers=50)
        print(f"{time.monotonic() - started:.0f} s; killed: {dict(killed)}")
        rows = pd.read_csv(project.root / f"reports/tune/{STUDY}.csv")
        print(f"in Optuna: {dict(Counter(rows['state']))}")
        print(f"in MLflow: {dict(Counter(run.info.status for run in project.runs('tune')))}")


if __name__ == "__main__":
    main()
