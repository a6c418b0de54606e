"""Tensors and their metadata in one safetensors file: no pickle, stable bytes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from src.core.errors import UserError
from src.core.files import written_whole

# One entry holds all metadata: safetensors writes several in an order that changes between runs.
ENTRY = "idxflow"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write both, whole or not at all; equal contents give equal bytes."""
    contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    with written_whole(path) as partial:
        try:
            save_file(contiguous, partial, metadata={ENTRY: json.dumps(about)})
        except SafetensorError as error:  # a full disk, for one
            raise UserError(f"{path}: not written: {error}") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and their metadata; UserError for a file not written here."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()[ENTRY])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found; `dvc repro` makes it") from error
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise UserError(
            f"{path}: damaged, or not written by idxflow; delete it, then `dvc repro`"
        ) from error
