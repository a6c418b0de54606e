"""The tables of docs/scale.md, from benchmarks/scale.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs.markdown import table

RESULTS = Path(__file__).parents[1] / "benchmarks/scale.json"
RUNS_ON = {"journal": "sqlite", "sqlite": "sqlite", "PostgreSQL": "PostgreSQL"}  # MLflow's
TRIALS = 1000  # of the sweep
MEASURED, CROWDS = 8, (8, 16, 32)  # workers: of that sweep, and of those in its table
TRACKING = "MLflow"


def throughput() -> str:
    """Trials a second by workers."""
    found = load()["early"]
    workers = next(iter(found.values()))
    rows = [[name, *map(_figure, points.values())] for name, points in found.items()]
    return table(["workers", *workers], rows)


def parts() -> str:
    """Milliseconds of a trial, early and late in a study."""
    found = bars(load())
    rows = [[label, *map(_figure, [*ms.values(), sum(ms.values())])] for label, ms in found]
    return table(["ms a trial", *found[0][1], "together"], rows)


def tracking() -> str:
    """MLflow's writes."""
    rows = [
        [
            name,
            _figure(each["runs_per_second"]),
            _figure(each["epochs_per_second"]),
            f"{1000 * each['first']:.0f} and {1000 * each['last']:.0f}",
            _figure(each["bytes_per_trial"] / 1000),
        ]
        for name, each in load()["mlflow"].items()
    ]
    header = ["MLflow on", "child runs a second", "epochs a second"]
    return table([*header, "ms a trial, first and last 100 of 200", "KB a trial"], rows)


def sweep() -> str:
    """What 1,000 trials cost, and how long trials must be for some workers to be busy."""
    made = load()
    rows = [
        [
            name,
            f"{each['seconds']:.0f} s",
            f"{TRIALS * _tracked(made, name):.0f} s",
            f"{each['statements']:.0f}" if each["statements"] else "",
            f"{each['bytes'] / 1e6:.1f} MB",
            f"{each['reopen']:.2g} s",
            *(f"{_figure(workers * _seconds(made, name, workers))} s" for workers in CROWDS),
        ]
        for name, each in made["grown"].items()
    ]
    costs = ["studies in", "study", "MLflow", "SQL statements a trial", "on disk", "opened again"]
    return table([*costs, *(f"{workers} workers" for workers in CROWDS)], rows)


def bars(made: Mapping[str, Any]) -> list[tuple[str, dict[str, float]]]:
    """By storage, for the first and the last trials: the milliseconds of each part."""
    found = []
    for name, each in made["grown"].items():
        steps = each["steps"]
        size = TRIALS // len(steps)
        tracked = {TRACKING: 1000 * _tracked(made, name)}
        for first, step in ((0, steps[0]), (TRIALS - size, steps[-1])):
            ms = {part: 1000 * seconds / size for part, seconds in step.items()}
            found.append((f"{name}, {first} to {first + size}", ms | tracked))
    return found


def load() -> dict[str, Any]:
    return dict(json.loads(RESULTS.read_text()))


def _tracked(made: Mapping[str, Any], name: str) -> float:
    """Seconds of a trial in MLflow, beside studies in this storage."""
    return float(made["mlflow"][RUNS_ON[name]]["seconds_per_trial"])


def _seconds(made: Mapping[str, Any], name: str, workers: int) -> float:
    """Of the coordinator for each of the last trials.

    What further workers add is known from the first trials.
    """
    early = made["early"][name]
    late = [sum(ms.values()) for label, ms in bars(made) if label.startswith(name)][-1] / 1000
    return float(late + 1 / early[str(workers)] - 1 / early[str(MEASURED)])


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
