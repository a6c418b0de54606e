"""What the report costs: the time of the evaluate stage, with and without it.

    python -m benchmarks.report

Without: no attribution, no feature maps, no page, nor what they import; the charts and contact
sheets in reports/evaluation are drawn on both sides. In turns, on what `make repro` left; the
stage's outputs and a run for each turn are written again.
"""

import statistics
import subprocess
import sys
import time

TURNS, LIMIT = 5, 5.0  # the most seconds that the report may take

WITHOUT = """
import sys
from types import ModuleType
from src.core.finding import Finding

def absent(name, **parts):
    sys.modules[name] = module = ModuleType(name)
    vars(module).update(parts)

absent("src.evaluation.attribution", attributions=lambda *_: Finding())
absent("src.evaluation.features", features=lambda *_: Finding())
absent("src.pages.index", write_report=lambda _: None)
"""
STAGE = """
import pipeline.evaluate
pipeline.evaluate.main()
"""


def seconds(program: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    costs = []
    for turn in range(1, TURNS + 1):
        having, lacking = seconds(STAGE), seconds(WITHOUT + STAGE)
        costs.append(having - lacking)
        print(f"turn {turn}: with {having:.1f} s, without {lacking:.1f} s", flush=True)
    middle, least, most = statistics.median(costs), min(costs), max(costs)
    verdict = "within" if middle <= LIMIT else "above"
    print(f"the report takes {middle:.1f} s ({least:.1f} to {most:.1f}): {verdict} {LIMIT:.0f} s")


if __name__ == "__main__":
    main()
