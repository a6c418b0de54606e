"""What `runtime.portable` costs: images a second of the train stage, with and without it.

    python -m benchmarks.portable

In a copy of the repository with its own params.yaml, three epochs a turn, in turns. It also prints
the hash of each model: with `portable`, another x86 CPU with AVX2 should print the same.
"""

import hashlib
import shutil
import statistics
import tempfile
from pathlib import Path

from mlflow import MlflowClient

from src.config.values import rewrite
from tests.clones import Clone, clone
from tests.conftest import ROOT

TURNS, EPOCHS = 5, 3


def speed(project: Clone, portable: bool) -> float:
    """Images a second: the median epoch."""
    params = project.root / "params.yaml"
    values = {"runtime.portable": portable, "train.epochs": EPOCHS}
    params.write_text(rewrite(params.read_text(), values))
    project.call("python", "-m", "pipeline.train")
    model = (project.root / "models/base.safetensors").read_bytes()
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    points = client.get_metric_history(project.runs()[-1].info.run_id, "images_per_second")
    found = statistics.median(point.value for point in points)
    digest = hashlib.sha256(model).hexdigest()[:16]
    print(f"portable {str(portable).lower():>5}: {found:.0f} images/s, model {digest}", flush=True)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = clone(Path(folder))
        shutil.copy(ROOT / "params.yaml", project.root)
        project.call("dvc", "repro", "preprocess")
        pairs = [(speed(project, True), speed(project, False)) for _ in range(TURNS)]
    ratios = [portable / usual for portable, usual in pairs]
    middle, least, most = statistics.median(ratios), min(ratios), max(ratios)
    print(f"portable is {middle:.2f} times as fast ({least:.2f} to {most:.2f})")


if __name__ == "__main__":
    main()
