"""Tensors and their metadata as safetensors: no pickle, stable bytes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from src.core.errors import UserError
from src.core.files import write_bytes

# One entry holds all metadata: safetensors writes several in an order that changes between runs.
ENTRY = "idxflow"


def pack(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> bytes:
    """Both in one; equal contents give equal bytes."""
    contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    return save(contiguous, metadata={ENTRY: json.dumps(about)})


def unpack(content: bytes, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and their metadata; UserError, with `name`, if not packed here."""
    try:
        # The library gives the metadata of files only: the header is JSON after its length.
        length = int.from_bytes(content[:8], "little")
        about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][ENTRY])
        return load(content), about
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise UserError(
            f"{name}: damaged, or not written by idxflow; `dvc repro` makes its own files anew, "
            "once they are deleted"
        ) from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    write_bytes(pack(tensors, about), path)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and their metadata; UserError for a file not written here."""
    return unpack(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found; `dvc repro` makes it") from error
    except IsADirectoryError as error:
        raise UserError(f"{path}: should be a file, not a folder") from error
