"""Trials an hour of a sweep with two workers of a Ray cluster, against two workers without one.

    python -m benchmarks.slots

Runs in a copy of the repository, both sides in turn, on this machine: a sweep of 30 trials of the
network of params.yaml, for two epochs each; a study of its own each time. The time is that from the
start of the first trial to the end of the last one. Ray needs `make cluster`.
"""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.rows import in_turn, record
from benchmarks.trials import TRIALS, an_hour, prepared, sweep
from tests.clones import Clone
from tests.conftest import ROOT

PAIRS, TARGET = 3, 0.9
STUDIES = itertools.count()


def seconds(project: Clone, *place: str) -> Callable[[], float]:
    """Measures the seconds for each trial, with the workers in this place."""
    return lambda: 3600 / an_hour(sweep(project, f"turn-{next(STUDIES)}", TRIALS, 2, *place))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = prepared(ROOT, Path(folder) / "copy")
        on_ray = seconds(project, "--cluster", "local")
        pairs = in_turn(on_ray, seconds(project), PAIRS)
    what, against = "a trial of a sweep, with two workers of a Ray cluster", "two workers without"
    record(13, what, against, "s", pairs, TARGET)


if __name__ == "__main__":
    main()
