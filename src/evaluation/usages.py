"""What it takes to use each model, beside its weights."""

from collections.abc import Mapping, Sequence

import torch

from src.core import paths
from src.core.finding import Finding
from src.core.tensorfile import read_bytes
from src.data.imageset import ImageSet
from src.evaluation.calibration import fit_temperature
from src.evaluation.subjects import Subject
from src.inference.layout import measure
from src.inference.served import Typical, to_file
from src.inference.usage import Usage, sha256, to_text
from src.models.checkpoint import Checkpoint
from src.models.scoring import predict


def usages(
    subjects: Sequence[Subject],
    models: Mapping[str, Checkpoint],
    train_sets: Mapping[str, ImageSet],
    val_sets: Mapping[str, ImageSet],
) -> Finding:
    """Of all models, found on training and validation images alone: two files, `paths.USAGE` and
    `paths.TYPICAL`."""
    uses, looks = {}, {}
    for subject in subjects:
        checkpoint, val_set = models[subject.name], val_sets[subject.home]
        logits = predict(checkpoint.model, val_set).cpu()
        typical = Typical.of([train_sets[role].images.cpu() for role in subject.learned])
        seen = torch.cat([val_sets[role].images.cpu() for role in subject.learned])
        looks[subject.name] = typical
        uses[subject.name] = Usage(
            sha256(read_bytes(subject.path)),
            checkpoint.classes,
            checkpoint.image_shape,
            subject.home,
            fit_temperature(logits, val_set.labels.cpu()),
            typical.furthest(seen),
            measure(val_set.images.cpu().numpy()),
        )
    files = {paths.USAGE.name: to_text(uses).encode(), paths.TYPICAL.name: to_file(looks)}
    return Finding(files=files)
