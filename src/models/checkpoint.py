"""A model in one file: weights, and in the metadata all that it takes to rebuild and use it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import TypeAdapter
from torch import nn

from src.config.networks import ModelConfig
from src.core.errors import UserError, first_line
from src.core.files import write_bytes
from src.core.tensorfile import pack, read_bytes, unpack
from src.models.build import assemble
from src.models.graph import Graph
from src.models.network import Network


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and what its outputs mean: `classes[i]` names logit `i`.

    model: pixels, float [B, C, H, W] from 0 to 255, to logits, [B, classes]; config: of the network
    that it is, or was made from; format: the key of FORMATS by which its file is read.
    """

    model: nn.Module
    config: ModelConfig
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    format: str = "network"

    @property
    def network(self) -> Network:
        """The model, if it can be trained further; a UserError if not."""
        if isinstance(self.model, Network):
            return self.model
        raise UserError(f"a model of format {self.format} cannot be trained further")


class Format(NamedTuple):
    """How a kind of model is written into the metadata, and built again from it."""

    describe: Callable[[Any], Mapping[str, Any]]  # from the model
    rebuild: Callable[[ModelConfig, Mapping[str, Any]], nn.Module]  # without weights, on the CPU


def _normalisation(model: Network) -> dict[str, Any]:
    mean, std = model.mean.flatten().tolist(), model.std.flatten().tolist()
    return {"normalisation": {"mean": mean, "std": std}}


def _assembled(config: ModelConfig, about: Mapping[str, Any]) -> Network:
    channels, height, width = about["image_shape"]
    mean, std = about["normalisation"]["mean"], about["normalisation"]["std"]
    return assemble(config, (channels, height, width), len(about["classes"]), mean, std)


FORMATS = {
    "network": Format(_normalisation, _assembled),
    "int8": Format(
        lambda model: {"size": len(model.graph)}, lambda _config, about: Graph(about["size"])
    ),
}


def to_bytes(checkpoint: Checkpoint) -> bytes:
    """The content of the model's file; equal models give equal bytes."""
    about = {
        "format": checkpoint.format,
        "config": checkpoint.config.model_dump(),
        "image_shape": checkpoint.image_shape,
        "classes": checkpoint.classes,
        **FORMATS[checkpoint.format].describe(checkpoint.model),
    }
    return pack(checkpoint.model.state_dict(), about)


def from_bytes(content: bytes, device: torch.device, name: str = "a model") -> Checkpoint:
    """The model on `device`; a UserError calls it `name` if it is not a model of this version."""
    weights, about = unpack(content, name)
    try:
        # Files from before there were other networks or formats do not name theirs.
        config: ModelConfig = TypeAdapter(ModelConfig).validate_python(about["config"])
        named = about.get("format", "network")
        model = FORMATS[named].rebuild(config, about)
        model.load_state_dict(weights)
        channels, height, width = about["image_shape"]
        classes = tuple(about["classes"])
    except (TypeError, KeyError, ValueError, RuntimeError) as error:
        raise UserError(f"{name}: not a model of this version: {first_line(error)}") from error
    model = model.to(device).to(memory_format=torch.channels_last)
    return Checkpoint(model, config, (channels, height, width), classes, named)


def save_model(path: Path, checkpoint: Checkpoint) -> None:
    write_bytes(to_bytes(checkpoint), path)


def load_model(path: Path, device: torch.device) -> Checkpoint:
    """The model of a file; UserError if the file is missing or not a model."""
    return from_bytes(read_bytes(path), device, str(path))
