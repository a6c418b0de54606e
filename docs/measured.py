"""The table of docs/performance.md, from benchmarks/results.json."""

import json
from pathlib import Path

from docs.markdown import table

RESULTS = Path(__file__).parents[1] / "benchmarks/results.json"
HEADER = ["row", "what", "ours", "against", "theirs", "ratio (range)", "wanted", ""]


def measured() -> str:
    return table(HEADER, [_row(row) for row in json.loads(RESULTS.read_text())])


def _row(row: dict[str, object]) -> list[str]:
    return [
        str(row["row"]),
        str(row["what"]),
        f"{row['ours']:.3g} {row['unit']}",
        str(row["against"]),
        f"{row['peer']:.3g} {row['unit']}",
        f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f}, {row['pairs']})",
        f"{row['target']:g}",
        "met" if row["met"] else "missed",
    ]
