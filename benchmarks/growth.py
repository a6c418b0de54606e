"""Row 12: what the preprocess stage costs per image, and how much memory, as data grow.

    python -m benchmarks.growth

Custom data of 60,000 and of a million images (see `benchmarks.many`) in a copy of the repository:
the whole stage, its start and MLflow's included, in turn. The start is a large part of the time for
60,000; so the images from 240,000 to a million are also compared with those from 5,000 to 240,000,
each of these without it. Memory is the peak of RssAnon: of the process, and not of files.
"""

import tempfile
import time
from pathlib import Path

from benchmarks.many import obtain_many, set_params, watched
from benchmarks.rows import record
from tests.clones import Clone, clone

SIZES = (5_000, 60_000, 240_000, 1_000_000)
TURNS = 3
DEARER, LARGER = 1.2, 1.1  # at most, than at 60,000


def preprocess(project: Clone, images: int) -> tuple[float, float]:
    """Seconds, and MB of anonymous memory."""
    set_params(project, {"data.source": f"folder:{project.root / f'many-{images}'}"})
    started = time.perf_counter()
    memory, _ = watched(project.start("python", "-m", "pipeline.preprocess"))
    seconds = time.perf_counter() - started
    print(f"{images:>9,} images: {seconds:.1f} s, {memory:.0f} MB", flush=True)
    return seconds, memory


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = clone(Path(folder))
        for images in SIZES:
            obtain_many(project, images)
        preprocess(project, SIZES[0])  # MLflow's database is made at the first run
        turns = [{images: preprocess(project, images) for images in SIZES} for _ in range(TURNS)]
    few, base, some, many = SIZES
    seconds = [{images: found[0] for images, found in turn.items()} for turn in turns]
    memory = [{images: found[1] for images, found in turn.items()} for turn in turns]
    for images in (some, many):
        record(
            12,
            f"preprocess, per image of {images:,}",
            f"{DEARER:g} times that of {base:,}",
            "us",
            [(1e6 * each[images] / images, DEARER * 1e6 * each[base] / base) for each in seconds],
            target=1,
        )
    record(
        12,
        f"preprocess, each further image from {some:,} to {many:,}",
        f"{DEARER:g} times that from {few:,} to {some:,}",
        "us",
        [
            (
                1e6 * (each[many] - each[some]) / (many - some),
                DEARER * 1e6 * (each[some] - each[few]) / (some - few),
            )
            for each in seconds
        ],
        target=1,
    )
    record(
        12,
        f"anonymous memory of preprocess for {many:,} images",
        f"{LARGER:g} times that for {base:,}",
        "MB",
        [(each[many], LARGER * each[base]) for each in memory],
        target=1,
    )


if __name__ == "__main__":
    main()
