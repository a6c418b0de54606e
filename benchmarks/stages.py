"""Time each stage of the pipeline, and all of them, with the parameters as they are.

    python -m benchmarks.stages

Runs every stage anew (`dvc repro --force`), so MLflow gets five more runs. The default pipeline
is meant to take at most two minutes on two cores.
"""

import re
import subprocess
import sys
import time


def main() -> None:
    command = [sys.executable, "-m", "dvc", "repro", "--force"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    started = time.perf_counter()
    marks: list[tuple[str, float]] = []
    for line in process.stdout:
        if starting := re.match(r"Running stage '(\w+)'", line):
            marks.append((starting[1], time.perf_counter()))
    if process.wait() != 0:
        sys.exit("dvc repro failed")
    ended = time.perf_counter()
    ends = [at for _, at in marks[1:]] + [ended]
    for (stage, begun), end in zip(marks, ends, strict=True):
        print(f"{stage:>10}: {end - begun:6.1f} s")
    print(f"{'all':>10}: {ended - started:6.1f} s")


if __name__ == "__main__":
    main()
