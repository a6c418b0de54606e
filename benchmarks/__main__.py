"""Measure the rows of docs/performance.md: what `make bench` calls.

    python -m benchmarks [ROW ...]

By default all rows but those of sweeps (6, 7 and 13), which take an hour of their own. Each
module is a command of its own; some measure two rows. They write into benchmarks/results.json.
"""

import subprocess
import sys
import time

MODULES = {
    "1": "fast",
    "2": "fast",
    "3": "epoch",
    "4": "keras",
    "5": "batches",
    "6": "sweep",
    "7": "sweep",
    "8": "stages",
    "9": "overhead",
    "10": "answers",
    "11": "memory",
    "12": "growth",
    "13": "slots",
}
SWEEPS = ("sweep", "slots")


def main() -> None:
    rows = sys.argv[1:] or [row for row, module in MODULES.items() if module not in SWEEPS]
    if unknown := {*rows} - {*MODULES}:
        sys.exit(f"error: no row {' or '.join(sorted(unknown))}; there are 1 to {len(MODULES)}")
    failed = []
    for module in dict.fromkeys(MODULES[row] for row in rows):
        started = time.monotonic()
        if subprocess.run([sys.executable, "-m", f"benchmarks.{module}"], check=False).returncode:
            failed.append(module)
        print(f"   ({module}: {time.monotonic() - started:.0f} s)", flush=True)
    if failed:
        sys.exit(f"error: failed: {', '.join(failed)}; see above")


if __name__ == "__main__":
    main()
