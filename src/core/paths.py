"""The pipeline's files. Their one home in code; a test holds dvc.yaml to it.

Paths are relative to the working directory, because DVC runs experiments in copies of the
repository. Only what all those copies share (`root`) is absolute.
"""

import os
from pathlib import Path

PARAMS = Path("params.yaml")
DVC_YAML, DVC_LOCK, DVC_IGNORE = Path("dvc.yaml"), Path("dvc.lock"), Path(".dvcignore")

RAW = Path("data/raw")
TENSORS = Path("data/tensors")
SOURCE_TENSORS = TENSORS / "source"
TARGET_TENSORS = TENSORS / "target"
SPLITS = TRAIN, VAL, TEST = "train.safetensors", "val.safetensors", "test.safetensors"

# By role and split, as trainings name them: source.train, target.test.
IMAGE_SETS = {
    f"{role}.{split.split('.')[0]}": folder / split
    for role, folder in (("source", SOURCE_TENSORS), ("target", TARGET_TENSORS))
    for split in SPLITS
}

BASE_MODEL = Path("models/base.safetensors")
FINETUNED_MODEL = Path("models/finetuned.safetensors")
SCRATCH_MODEL = Path("models/scratch.safetensors")
COMPRESSED = Path("models/compressed")

REPORTS = Path("reports")
REPORT = REPORTS / "index.html"
DATA_REPORT, WARNINGS = Path("reports/data"), "warnings.csv"
TRAIN_HISTORY = Path("reports/train.csv")
FINETUNE_HISTORY = Path("reports/finetune.csv")
METRICS = Path("reports/metrics.json")
EVALUATION = Path("reports/evaluation")
USAGE, TYPICAL = EVALUATION / "usage.json", EVALUATION / "typical.safetensors"

RECIPES = Path("recipes")
RECIPE_RESULTS = RECIPES / "results"
PUBLISHED_FIGURES = RECIPES / "published.csv"

SWEEPS = Path("reports/tune")
CROSSVAL = Path("reports/crossval")
TRANSFER = Path("reports/transfer")
COMPRESS = Path("reports/compress")

# In the root, which all working copies share.
TRACKING = Path("mlflow.db")
ARTIFACTS = Path("mlartifacts")
STUDIES, STUDIES_LOCK = Path("optuna.log"), Path("optuna.lock")
TRAININGS = Path("data/trainings")  # results that are kept


def root() -> Path:
    """The repository that the person works in: also from DVC's temporary copies of it."""
    return Path(os.environ.get("DVC_ROOT") or Path(__file__).parents[2]).resolve()


def downloads() -> Path:
    """Verified downloads, kept so that no copy of the repository fetches a file twice."""
    return root() / "data/downloads"
