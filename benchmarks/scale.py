"""Where does one coordinator bend? Trials a second, with workers that answer at once.

    python -m benchmarks.scale [STORAGE ...]

STORAGE: journal, sqlite or PostgreSQL, to measure again what other work on the machine disturbed;
the others then keep their figures. By default all.

The loop, the study and the sampler are those of `python -m src.tune` with params.yaml as it is;
only the training is left out. Measured on the journal, on sqlite and on PostgreSQL: the first
trials of a study for several numbers of workers, and one study as it grows, with the parts of its
time. Then the same sweep with MLflow. It takes about ten minutes, and PostgreSQL a server of its
own, on this machine; without PostgreSQL the rest is measured. Writes benchmarks/scale.json and the
picture of docs/scale.md; `make docs` then fills its tables.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import psycopg
import sqlalchemy
from filelock import FileLock
from optuna.storages import RDBStorage

from benchmarks.instant import OTHER, Clock, Instant
from benchmarks.rows import machine
from docs import scaled
from src.config.parsing import read
from src.core import paths
from src.core.files import write_text
from src.core.plots import blank, save_figure
from src.core.progress import Observer
from src.execution.scheduler import run
from src.tracking import nested
from src.tracking.store import TUNE
from src.tune import study as study_module
from src.tune.samplers import build_sampler
from src.tune.space import Space
from src.tune.status import SweepProgress
from src.tune.storage import begin_study, open_storage
from src.tune.study import Study
from src.tune.sweep import Trials
from tests.postgres import find_programs, served

WORKERS = (1, 2, 4, 8, 16, 32)
EARLY = 100  # trials of a new study
GROWN, STEP = 1000, 100  # trials of one study, and of each point of its curve
TRACKED = 200  # trials in MLflow
SOME = 8  # workers, where their number is not what varies

SAMPLER, OURS, OPTUNA, WRITES, LOCK = (
    *("sampler", "reads by the coordinator", "reads by Optuna", "writes", "lock"),
)
PARTS = (SAMPLER, OURS, OPTUNA, WRITES, LOCK, OTHER)
RUNS, EPOCHS = "runs", "epochs"  # of MLflow
DRAWS = ("infer_relative_search_space", "sample_relative", "sample_independent", "before_trial")
PICTURE = scaled.RESULTS.parents[1] / "docs/images/scale.svg"

Create = Callable[[str], str | None]  # from a name to the URL of a new study; None is the journal


class Marks(Observer):
    """The clock's parts at the start of every trial; the first mark is before the first trial."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.made = [clock.read()]

    def on_start(self, name: str, values: Mapping[str, Any]) -> None:
        self.made.append(self._clock.read())

    def steps(self, *parts: str) -> list[dict[str, float]]:
        """The seconds of these parts in the first STEP trials, in the next STEP, and so on."""
        return [
            {part: after[part] - before[part] for part in parts}
            for before, after in pairwise(self.made[::STEP])
        ]


class Sweep:
    """A sweep on simulated workers, in a folder and, unless it is the journal's, a database."""

    def __init__(self, folder: Path, url: str | None) -> None:
        folder.mkdir()
        self.clock, self.statements = Clock(OURS), 0
        self._folder, self._url, self._empty = folder, url, 0
        self.study = self._open()
        self._empty = self.size()

    def run(self, workers: int, trials: int, observers: Sequence[Observer] = ()) -> None:
        with (
            patch.object(study_module, "build_sampler", self.clock(SAMPLER, self._sampler)),
            Path(os.devnull).open("w") as null,
            redirect_stdout(null),  # the line of each trial
            SweepProgress(self.study, trials) as progress,
        ):
            forever = float("inf")
            run(Instant(workers), Trials(self.study, trials, forever, [progress, *observers]))

    def size(self) -> int:
        """Bytes on disk, without those of an empty study."""
        if self._url and self._url.startswith("postgresql"):
            return database_size(self._url) - self._empty
        return sum(file.stat().st_size for file in self._folder.iterdir()) - self._empty

    def reopen(self) -> float:
        """Seconds that another process, or the next call, takes to open the study and read it."""
        started = time.perf_counter()
        self._open().trials()
        return time.perf_counter() - started

    def _open(self) -> Study:
        space, lock = Space(read()), FileLock(self._folder / "lock")
        storage = open_storage(self._url, self._folder / "journal.log", lock)
        begun = begin_study(storage, "study", 0, {"params": space.constant()}, lock)
        if isinstance(storage, RDBStorage):
            sqlalchemy.event.listen(storage.engine, "before_cursor_execute", self._count)
        study = Study(begun, storage, space, lock)
        self._divide(study, lock)
        return study

    def _divide(self, study: Study, lock: FileLock) -> None:
        storage = study.optuna._storage
        methods = [name for name in dir(storage) if not name.startswith("_")]
        reads = [name for name in methods if name.startswith("get_")]
        writes = [name for name in methods if name.startswith(("set_", "create_"))]
        self.clock.methods(OPTUNA, storage, *reads)
        self.clock.methods(WRITES, storage, *writes)
        self.clock.methods(LOCK, lock, "acquire", "release")
        self.clock.methods(OURS, study, "trials")

    def _sampler(self, *arguments: Any) -> Any:
        sampler = build_sampler(*arguments)
        self.clock.methods(SAMPLER, sampler, *DRAWS)
        return sampler

    def _count(self, *_: object) -> None:
        self.statements += 1


def database_size(url: str) -> int:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        found = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert found is not None
    return int(found[0])


def early(folder: Path, create: Create, workers: int) -> float:
    """Trials a second at the start of a study."""
    sweep = Sweep(folder, create(f"early_{workers}"))
    started = time.perf_counter()
    sweep.run(workers, EARLY)
    return EARLY / (time.perf_counter() - started)


def grown(folder: Path, create: Create) -> dict[str, Any]:
    """One study from its first trial to the last: its time in parts, its size."""
    sweep = Sweep(folder, create("grown"))
    marks = Marks(sweep.clock)
    sweep.run(SOME, GROWN, [marks])
    seconds = sum(sweep.clock.read().values()) - sum(marks.made[0].values())
    trials = sweep.study.trials()
    return {
        "seconds": seconds,
        "statements": sweep.statements / GROWN,
        "epochs": sum(len(trial.intermediate_values) for trial in trials) / GROWN,
        "bytes": sweep.size(),
        "reopen": sweep.reopen(),
        "steps": marks.steps(*PARTS),
    }


def tracked(folder: Path, uri: str | None) -> dict[str, float]:
    """What MLflow takes of a sweep: its child runs, and each epoch as a write of its own."""
    sweep = Sweep(folder, None)
    # With epochs of more than a second, none waits for the next one to be written with it.
    surroundings = {"DVC_ROOT": str(folder), **({"MLFLOW_TRACKING_URI": uri} if uri else {})}
    with patch.dict(os.environ, surroundings), patch.object(nested, "WRITE_INTERVAL", 0.0):
        config, constant = sweep.study.space.config, sweep.study.space.constant()
        tags = {"sampler": config.sampler, "pruner": config.pruner}
        with nested.track_study(TUNE, "study", sweep.study.id, constant, tags) as tracker:
            before = tracked_size(folder, uri)
            sweep.clock.methods(RUNS, tracker, "on_start", "on_end")
            sweep.clock.methods(EPOCHS, tracker, "on_epoch")
            marks = Marks(sweep.clock)
            sweep.run(SOME, TRACKED, [tracker, marks])
    first, *_, last = [sum(step.values()) / STEP for step in marks.steps(RUNS, EPOCHS)]
    spent = sweep.clock.read()
    epochs = sum(len(trial.intermediate_values) for trial in sweep.study.trials())
    return {
        "runs_per_second": TRACKED / spent[RUNS],
        "epochs_per_second": epochs / spent[EPOCHS],
        "seconds_per_trial": (spent[RUNS] + spent[EPOCHS]) / TRACKED,
        "first": first,
        "last": last,
        "bytes_per_trial": (tracked_size(folder, uri) - before) / TRACKED,
    }


def tracked_size(folder: Path, uri: str | None) -> int:
    return database_size(uri) if uri else (folder / paths.TRACKING).stat().st_size


@contextmanager
def storages(folder: Path) -> Iterator[dict[str, Create]]:
    """How a study is created in each; PostgreSQL only if it is installed."""
    found: dict[str, Create] = {
        "journal": lambda name: None,
        "sqlite": lambda name: f"sqlite:///{folder / f'sqlite_{name}' / 'studies.db'}",
    }
    with ExitStack() as stack:
        if find_programs():
            found["PostgreSQL"] = stack.enter_context(served()).create
        else:
            print("PostgreSQL is not installed: the rest is measured")
        yield found


def measure(folder: Path, wanted: Sequence[str]) -> dict[str, Any]:
    config = Space(read()).config
    about = {"machine": machine(), "sampler": config.sampler, "pruner": config.pruner}
    kept = scaled.load() if wanted else {"early": {}, "grown": {}, "mlflow": {}}
    made: dict[str, Any] = {**kept, **about}
    with storages(folder) as found:
        if unknown := {*wanted} - {*found}:
            sys.exit(
                f"error: no storage {' or '.join(sorted(unknown))}; there are {', '.join(found)}"
            )
        for name, create in found.items():
            if wanted and name not in wanted:
                continue
            made["early"][name] = {
                workers: early(folder / f"{name}_early_{workers}", create, workers)
                for workers in WORKERS
            }
            print(f"{name}, the first {EARLY} trials: {made['early'][name]}", flush=True)
            made["grown"][name] = grown(folder / f"{name}_grown", create)
            print(f"{name}, {GROWN} trials: {made['grown'][name]['seconds']:.0f} s", flush=True)
            if name != "journal":  # which MLflow does not have
                uri = create("mlflow") if name == "PostgreSQL" else None
                made["mlflow"][name] = tracked(folder / f"{name}_mlflow", uri)
                print(f"MLflow on {name}: {made['mlflow'][name]}", flush=True)
    return json.loads(json.dumps(made))  # type: ignore[no-any-return]  # with keys as in the file


def draw(made: Mapping[str, Any]) -> None:
    figure = blank(9, 4.5, "Trials a second by workers, and milliseconds of a trial by part")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.4])
    for name, points in made["early"].items():
        left.plot([int(workers) for workers in points], points.values(), marker="o", label=name)
    left.set(xscale="log", xlabel="workers", ylabel="trials a second", ylim=(0, None))
    left.set_xticks(WORKERS, [str(workers) for workers in WORKERS])
    left.minorticks_off()
    left.set_title(f"The first {EARLY} trials")
    left.legend()
    bars = [*reversed(scaled.bars(made))]
    labels = [label for label, _ in bars]
    start = [0.0] * len(bars)
    for part in bars[0][1]:
        widths = [parts[part] for _, parts in bars]
        right.barh(labels, widths, left=start, label=part)
        start = [before + width for before, width in zip(start, widths, strict=True)]
    right.set(xlabel="ms of the coordinator for each trial")
    right.set_title(f"Its parts, with {SOME} workers")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    save_figure(figure, PICTURE)


def main() -> None:
    with TemporaryDirectory() as folder:
        made = measure(Path(folder), sys.argv[1:])
    write_text(json.dumps(made, indent=2) + "\n", scaled.RESULTS)
    draw(made)
    print(f"\n{scaled.throughput()}\n\n{scaled.parts()}\n\n{scaled.tracking()}\n\n{scaled.sweep()}")


if __name__ == "__main__":
    main()
