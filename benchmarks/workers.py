"""What a second worker brings to cross-validation and transfer, and whether it changes a table.

    python -m benchmarks.workers [TURNS]

Runs in a copy of the repository, with params.yaml as it is but for fewer epochs: each command with
one worker and with two, in turn, without the results that were kept.
"""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from src.config.values import rewrite
from src.core import paths
from tests.clones import Clone, clone
from tests.conftest import ROOT

COMMANDS = {
    "crossval": ("--folds", "4"),
    "transfer": ("--seeds", "2", "--labels", "5,10"),
}
EPOCHS = {"train.epochs": 8, "finetune.epochs": 20}


def measure(project: Clone, command: str, workers: int) -> tuple[float, dict[str, bytes]]:
    """Seconds of the whole command, and the tables that it left."""
    shutil.rmtree(project.root / paths.TRAININGS, ignore_errors=True)
    started = time.perf_counter()
    project.call("python", "-m", f"src.{command}", *COMMANDS[command], "--workers", str(workers))
    seconds = time.perf_counter() - started
    tables = (project.root / "reports" / command).glob("*.csv")
    return seconds, {path.name: path.read_bytes() for path in sorted(tables)}


def main() -> None:
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        project = clone(Path(folder))
        params = rewrite((ROOT / paths.PARAMS).read_text(), EPOCHS)
        (project.root / paths.PARAMS).write_text(params)
        project.call("dvc", "repro", "preprocess")
        for command in COMMANDS:
            ratios = []
            for _ in range(turns):
                one, expected = measure(project, command, 1)
                two, tables = measure(project, command, 2)
                ratios.append(two / one)
                same = "equal tables" if tables == expected else "TABLES DIFFER"
                print(f"{command}: {one:.0f} s, {two:.0f} s, {two / one:.2f}, {same}", flush=True)
            print(f"{command}: median ratio {statistics.median(ratios):.2f}", flush=True)


if __name__ == "__main__":
    main()
