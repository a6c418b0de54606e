"""A model in one file: weights, and in the metadata all that it takes to rebuild and use it."""

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter

from src.config.networks import ModelConfig
from src.core.errors import UserError, first_line
from src.core.tensorfile import read_tensors, write_tensors
from src.models.build import assemble
from src.models.network import Network


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and what its outputs mean: `classes[i]` names logit `i`."""

    model: Network
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
    """Rebuild the model on `device`; UserError if the file is missing or not a model."""
    weights, about = read_tensors(path)
    try:
        # Files from before there were other networks have no name: they are of the class `cnn`.
        config: ModelConfig = TypeAdapter(ModelConfig).validate_python(about["config"])
        channels, height, width = about["image_shape"]
        mean, std = about["normalisation"]["mean"], about["normalisation"]["std"]
        classes = tuple(about["classes"])
        model = assemble(config, (channels, height, width), len(classes), mean, std)
        model.load_state_dict(weights)
    except (TypeError, KeyError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: not a model of this version: {first_line(error)}") from error
    model = model.to(device).to(memory_format=torch.channels_last)
    return Checkpoint(model, config, (channels, height, width), classes)
