"""The table of docs/performance.md, from benchmarks/results.json."""

import json
from pathlib import Path

from docs.markdown import table

RESULTS = Path(__file__).parents[1] / "benchmarks/results.json"
HEADER = ["row", "what", "ours", "against", "theirs, or the ceiling", "ratio (range)", "wanted", ""]


def measured() -> str:
    return table(HEADER, [_row(row) for row in json.loads(RESULTS.read_text())])


def _figure(value: object) -> str:
    number = float(str(value))
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _row(row: dict[str, object]) -> list[str]:
    return [
        str(row["row"]),
        str(row["what"]),
        f"{_figure(row['ours'])} {row['unit']}",
        str(row["against"]),
        f"{_figure(row['peer'])} {row['unit']}",
        f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f}, {row['pairs']})",
        f"{row['target']:g}",
        "met" if row["met"] else "missed",
    ]
