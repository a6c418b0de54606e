"""A model in one file: weights, and in the metadata all that it takes to rebuild and use it."""

from dataclasses import dataclass
from pathlib import Path

import torch

from src.config.model import ModelConfig
from src.core.errors import UserError
from src.core.tensorfile import read_tensors, write_tensors
from src.models.cnn import CNN


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and what its outputs mean: `classes[i]` names logit `i`."""

    model: CNN
    config: ModelConfig
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]


def save_model(path: Path, checkpoint: Checkpoint) -> None:
    """Write the model; equal models give equal bytes."""
    model = checkpoint.model
    mean, std = model.mean.flatten().tolist(), model.std.flatten().tolist()
    about = {
        "config": checkpoint.config.model_dump(),
        "image_shape": checkpoint.image_shape,
        "classes": checkpoint.classes,
        "normalisation": {"mean": mean, "std": std},
    }
    write_tensors(path, model.state_dict(), about)


def load_model(path: Path, device: torch.device) -> Checkpoint:
    """Rebuild the model on `device`; UserError if the file is missing or not one of ours."""
    weights, about = read_tensors(path)
    try:
        config = ModelConfig.model_validate(about["config"])
        channels, height, width = about["image_shape"]
        mean, std = about["normalisation"]["mean"], about["normalisation"]["std"]
        classes = tuple(about["classes"])
        model = CNN(config, (channels, height, width), len(classes), mean, std)
        model.load_state_dict(weights)
    except (TypeError, KeyError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: not a model of this version: {reason}") from None
    model = model.to(device).to(memory_format=torch.channels_last)
    return Checkpoint(model, config, (channels, height, width), classes)
