"""Row 11: the anonymous memory (RssAnon) that training takes, on 60,000 images and on a million.

    python -m benchmarks.memory

The real train stage for one epoch, validation included, in a copy of the repository, on custom data
(see `benchmarks.many`) that the real preprocess stage has brought into tensors. The network of
params.yaml on 60,000 images is held to three times the bytes of these images; a small network, for
the sake of time, on a million to its own figure on 60,000. What the interpreter and the libraries
take before a file of data is opened is no part of the data, and with a torch that is built for GPUs
alone more than three times their size: each is recorded with it, and without.
"""

import shutil
import tempfile
from pathlib import Path

from benchmarks.many import obtain_many, set_params, watched
from benchmarks.rows import record
from tests.clones import Clone, clone
from tests.conftest import ROOT

FEW, MANY = 60_000, 1_000_000
BYTES = 28 * 28  # of an image
TURNS = 2
TIMES, LARGER = 3, 1.1
LOADED = "LOADED"
# The stage, once all is imported that it imports: building an optimizer imports much.
STAGE = f"""
import mlflow, pandas, sqlalchemy, torch
from pipeline.train import main
from src.core.cli import run
from tests.memory import anonymous
torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], fused=True)
print("{LOADED}", anonymous())
run(main)
"""


def train(project: Clone, images: int) -> tuple[float, float]:
    """MB of anonymous memory: all of it, and what was added once all was imported."""
    folder = project.root / f"tensors-{images}"
    (project.root / "data/tensors").unlink(missing_ok=True)
    (project.root / "data/tensors").symlink_to(folder)
    most, printed = watched(project.start("python", "-c", STAGE))
    loaded = next(line for line in printed.splitlines() if line.startswith(LOADED))
    added = most - int(loaded.split()[1]) / 1e6
    print(f"{images:>9,} images: {most:.0f} MB, {added:.0f} of them added", flush=True)
    return most, added


def prepare(project: Clone, images: int) -> None:
    obtain_many(project, images)
    project.call("python", "-m", "pipeline.preprocess")
    (project.root / "data/tensors").rename(project.root / f"tensors-{images}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = clone(Path(folder))
        for images in (FEW, MANY):
            prepare(project, images)
        small = project.root / "small.yaml"
        shutil.copy(project.root / "params.yaml", small)
        source = {"data.source": f"folder:{project.root / f'many-{FEW}'}", "train.epochs": 1}
        shutil.copy(ROOT / "params.yaml", project.root)
        set_params(project, source)
        default = [train(project, FEW) for _ in range(TURNS)]
        shutil.copy(small, project.root / "params.yaml")
        set_params(project, {**source, "train.batch_size": 128, "runtime.threads": 2})
        pairs = [(train(project, MANY), train(project, FEW)) for _ in range(TURNS)]
    for part, what in enumerate(("", ", beyond what imports take")):
        record(
            11,
            f"anonymous memory of training on {FEW:,} images{what}",
            f"{TIMES} times their bytes",
            "MB",
            [(found[part], TIMES * FEW * BYTES / 1e6) for found in default],
            target=1,
        )
        record(
            11,
            f"anonymous memory of training on {MANY:,} images{what}",
            f"{LARGER} times that of {FEW:,}",
            "MB",
            [(many[part], LARGER * few[part]) for many, few in pairs],
            target=1,
        )


if __name__ == "__main__":
    main()
