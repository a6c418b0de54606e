"""What models say of test sets."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from src.config.sections import EvaluateConfig
from src.data.imageset import ImageSet
from src.evaluation.metrics import match_classes, measure
from src.models.checkpoint import Checkpoint
from src.models.predict import predict

# The data that each model is for: there it is calibrated, and its images are made worse.
HOME = {"base": "source", "finetuned": "target", "scratch": "target"}


@dataclass(frozen=True)
class Evaluation:
    """What one model says of one test set (images uint8 [N, C, H, W]), and how good that is."""

    metrics: dict[str, float]
    images: Tensor
    labels: Tensor
    logits: Tensor
    classes: tuple[str, ...]

    @property
    def right(self) -> np.ndarray:
        """Which images are read right, bool [N]."""
        right: np.ndarray = (self.logits.argmax(1) == self.labels).numpy()
        return right


Evaluations = Mapping[str, Mapping[str, Evaluation]]  # by model, then by the role of the test set


def evaluate_all(
    models: Mapping[str, Checkpoint], test_sets: Mapping[str, ImageSet], config: EvaluateConfig
) -> dict[str, dict[str, Evaluation]]:
    """Every model on every test set; the control only on the target, which alone it has seen."""
    return {
        name: {
            role: evaluate(checkpoint, test_set, config)
            for role, test_set in test_sets.items()
            if (name, role) != ("scratch", "source")
        }
        for name, checkpoint in models.items()
    }


def evaluate(checkpoint: Checkpoint, test_set: ImageSet, config: EvaluateConfig) -> Evaluation:
    """Classes are those of the test set and, where they differ, then those of the model."""
    logits, labels = predict(checkpoint.model, test_set).cpu(), test_set.labels.cpu()
    logits, classes = match_classes(logits, checkpoint.classes, test_set.classes)
    metrics = measure(logits, labels, config.calibration_bins)
    return Evaluation(metrics, test_set.images.cpu(), labels, logits, classes)


def fingerprint(data: ImageSet) -> str:
    """What is equal for equal images with equal labels, whatever else their file holds."""
    digest = hashlib.sha256(data.images.cpu().numpy().tobytes())
    digest.update(data.labels.cpu().numpy().tobytes())
    digest.update(json.dumps([data.image_shape, data.classes]).encode())
    return digest.hexdigest()


def accuracy(checkpoint: Checkpoint, data: ImageSet) -> float:
    """The share of images, 0 to 1, that are given the name of their class."""
    logits, _ = match_classes(predict(checkpoint.model, data), checkpoint.classes, data.classes)
    return float((logits.argmax(1) == data.labels).double().mean())
