"""Does a study end with the exact number of trials if its processes are killed by SIGKILL?

    python -m benchmarks.chaos

Runs in a copy of the repository: 50 trials, two epochs each, of a small network on the embedded
digits, with two workers. Every 5 seconds a worker is killed, 50 in total; in between, the command
itself is killed twice and started again. Trials are short because a worker lives for 10 seconds on
average.
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
    """Sweep with two workers, and kill one every `every` seconds, `workers` times in total.

    Every third time the command is killed instead, at most `commands` times. Returns the numbers of
    "workers" and "commands" killed, and all output.
    """
    command = ("python", "-m", "src.tune", "--trials", str(trials), "--workers", "2")
    rng, killed, printed = random.Random(0), Counter[str](), ""  # noqa: S311
    while True:
        process = project.start(*command, "--study", STUDY)
        while process.poll() is None:
            time.sleep(every)
            if killed.total() % 3 == 2 and killed["commands"] < commands:
                killed["commands"] += process.poll() is None
                process.kill()
                process.wait()
            elif killed["workers"] < workers and (found := _workers(process)):
                rng.choice(found).kill()
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
