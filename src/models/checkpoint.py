"""A model in one file: weights, and in the metadata all that it takes to rebuild and use it."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from src.config.model import ModelConfig
from src.errors import UserError
from src.files import written_whole
from src.models.cnn import CNN

METADATA = "idxflow"  # one entry: safetensors writes several in an order that changes between runs


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
    about = {
        "config": checkpoint.config.model_dump(),
        "image_shape": checkpoint.image_shape,
        "classes": checkpoint.classes,
        "normalisation": {
            "mean": model.mean.flatten().tolist(),
            "std": model.std.flatten().tolist(),
        },
    }
    weights = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    with written_whole(path) as partial:
        save_file(weights, partial, metadata={METADATA: json.dumps(about)})


def load_model(path: Path, device: torch.device) -> Checkpoint:
    """Rebuild the model on `device`; UserError if the file is missing or not one of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()[METADATA])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        config = ModelConfig.model_validate(about["config"])
        normalisation = about["normalisation"]
        image_shape, classes = tuple(about["image_shape"]), tuple(about["classes"])
        model = CNN(config, image_shape, len(classes), normalisation["mean"], normalisation["std"])
        model.load_state_dict(weights)
        model = model.to(device).to(memory_format=torch.channels_last)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; `dvc repro` makes it") from None
    except (SafetensorError, TypeError, KeyError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: not a model of this version: {reason}") from None
    return Checkpoint(model, config, image_shape, classes)
