"""Rows of docs/performance.md: two sides measured in turn, their ratio, and the one wanted."""

import json
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from src.core.files import write_text

RESULTS = Path(__file__).with_name("results.json")
Pair = tuple[float, float]  # ours, and the peer's; less is better


@dataclass(frozen=True)
class Row:
    """A measurement; `ratio` is above 1 where ours is better."""

    row: int  # its number in the table
    what: str
    against: str
    unit: str
    ours: float  # the medians of the pairs
    peer: float
    ratio: float  # the median of the pairs' ratios, peer over ours
    low: float  # the least and the greatest of these ratios
    high: float
    target: float
    pairs: int
    met: bool
    machine: str


def in_turn(ours: Callable[[], float], peer: Callable[[], float], pairs: int) -> list[Pair]:
    """Both sides in turn, each first in every other pair: a drift of the machine favours none."""
    found = []
    for number in range(pairs):
        if number % 2:
            theirs, own = peer(), ours()
        else:
            own, theirs = ours(), peer()
        found.append((own, theirs))
    return found


def record(
    row: int, what: str, against: str, unit: str, pairs: Sequence[Pair], target: float
) -> None:
    """Print a row, and put it into results.json in place of the one of the same name.

    For a ceiling, `pairs` has the ceiling as the peer.
    """
    ratios = sorted(peer / ours for ours, peer in pairs)
    ratio = statistics.median(ratios)
    ours, peer = (statistics.median(side) for side in zip(*pairs, strict=True))
    made = Row(
        row=row,
        what=what,
        against=against,
        unit=unit,
        ours=ours,
        peer=peer,
        ratio=ratio,
        low=ratios[0],
        high=ratios[-1],
        target=target,
        pairs=len(ratios),
        met=ratio >= target,
        machine=machine(),
    )
    print(
        f"{row:>2} {what}: {ours:.4g} {unit}, {against}: {peer:.4g}; ratio {ratio:.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f} over {len(ratios)}), wanted {target:g}: "
        + ("met" if made.met else "MISSED"),
        flush=True,
    )
    others = [each for each in load() if (each["row"], each["what"]) != (row, what)]
    rows = sorted([*others, asdict(made)], key=lambda each: (each["row"], each["what"]))
    write_text(json.dumps(rows, indent=2) + "\n", RESULTS)


def load() -> list[dict[str, Any]]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def machine() -> str:
    """Processor, cores, version of torch."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line for line in lines if line.startswith("model name")), "?: unknown")
    about = [
        model.split(":")[1].strip(),
        torch.backends.cpu.get_cpu_capability(),
        f"{len(os.sched_getaffinity(0))} cores",
        f"torch {torch.__version__}",
    ]
    return ", ".join(about)
