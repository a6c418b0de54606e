"""What models predict for test sets."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from src.config.sections import EvaluateConfig
from src.data.imageset import ImageSet
from src.evaluation.metrics import match_classes, measure
from src.evaluation.subjects import Subject
from src.models.checkpoint import Checkpoint
from src.models.scoring import predict


@dataclass(frozen=True)
class Evaluation:
    """One model's logits for one test set (images uint8 [N, C, H, W]), and its metrics."""

    metrics: dict[str, float]
    images: Tensor
    labels: Tensor
    logits: Tensor
    classes: tuple[str, ...]

    @property
    def correct(self) -> np.ndarray:
        """Which images are predicted correctly, bool [N]."""
        correct: np.ndarray = (self.logits.argmax(1) == self.labels).numpy()
        return correct


Evaluations = Mapping[str, Mapping[str, Evaluation]]  # by model, then by test set


def evaluate_all(
    subjects: Sequence[Subject],
    models: Mapping[str, Checkpoint],
    test_sets: Mapping[str, ImageSet],
    config: EvaluateConfig,
) -> dict[str, dict[str, Evaluation]]:
    """Every model on the test sets that it meets."""
    return {
        subject.name: {
            test: evaluate(models[subject.name], test_sets[test], config) for test in subject.tests
        }
        for subject in subjects
    }


def evaluate(checkpoint: Checkpoint, test_set: ImageSet, config: EvaluateConfig) -> Evaluation:
    """The classes are those of the test set, followed by those that only the model knows."""
    logits, labels = predict(checkpoint.model, test_set).cpu(), test_set.labels.cpu()
    logits, classes = match_classes(logits, checkpoint.classes, test_set.classes)
    metrics = measure(logits, labels, config.calibration_bins)
    return Evaluation(metrics, test_set.images.cpu(), labels, logits, classes)


def fingerprint(data: ImageSet) -> str:
    """SHA-256 of images, labels and class names: equal for equal test sets, whatever the file."""
    digest = hashlib.sha256(data.images.cpu().numpy().tobytes())
    digest.update(data.labels.cpu().numpy().tobytes())
    digest.update(json.dumps([data.image_shape, data.classes]).encode())
    return digest.hexdigest()


def accuracy(checkpoint: Checkpoint, data: ImageSet) -> float:
    """The share of images, 0 to 1, whose class is predicted by name."""
    logits, _ = match_classes(predict(checkpoint.model, data), checkpoint.classes, data.classes)
    return float((logits.argmax(1) == data.labels).double().mean())
