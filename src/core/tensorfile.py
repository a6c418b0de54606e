"""Tensors and their metadata as safetensors: no pickle, stable bytes."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from src.core.errors import UserError
from src.core.files import written_whole
from src.core.paths import COMPRESSED

# One entry holds all metadata: safetensors writes several in an order that changes between runs.
ENTRY = "idxflow"
# What the format calls the types of tensors, in the order in which the library lays them out.
TYPES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def pack(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> bytes:
    """Both in one; equal contents give equal bytes."""
    return b"".join(_parts(tensors, about))


def unpack(content: bytes, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and their metadata; UserError, with `name`, if not packed here."""
    with _intact(name):
        # The library gives the metadata of files only: the header is JSON after its length.
        length = int.from_bytes(content[:8], "little")
        about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][ENTRY])
        return load(content), about


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """What `pack` returns, without a copy of the tensors in memory."""
    with written_whole(path) as partial, partial.open("wb") as file:
        for part in _parts(tensors, about):
            file.write(part)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and their metadata; UserError for a file not written here.

    They are mapped: a page is read when it is used, processes share it, and the system may drop it
    again. What is written into them does not reach the file, and a file that is put in
    its place, as all writers here do, does not reach them. What another program writes into the
    file itself does; if it cuts the file off, the process ends by SIGBUS.
    """
    # Opened by Python, too, for its errors, and for those that watch which files it opens.
    with _found(path), path.open("rb"), _intact(str(path)), safe_open(path, "pt") as file:
        return file.get_tensors(), json.loads(file.metadata()[ENTRY])


def read_bytes(path: Path) -> bytes:
    with _found(path):
        return path.read_bytes()


def _parts(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Iterator[memoryview]:
    """The header and each tensor, laid out as the library does: by type, then by name."""
    flat = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    types = [*TYPES]
    ordered = sorted(flat, key=lambda name: (types.index(flat[name].dtype), name))
    entries: dict[str, Any] = {"__metadata__": {ENTRY: json.dumps(about)}}
    start = 0
    for name in ordered:
        shape, end = list(flat[name].shape), start + flat[name].nbytes
        entries[name] = {"dtype": TYPES[flat[name].dtype], "shape": shape}
        entries[name]["data_offsets"] = [start, end]
        start = end
    header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    yield memoryview(len(header).to_bytes(8, "little") + header)
    for name in ordered:
        yield flat[name].flatten().view(torch.uint8).numpy().data


@contextmanager
def _found(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        asked = f", once compress.make names {path.stem}" if path.parent == COMPRESSED else ""
        raise UserError(f"{path}: not found; `dvc repro` makes it{asked}") from error
    except IsADirectoryError as error:
        raise UserError(f"{path}: should be a file, not a folder") from error


@contextmanager
def _intact(name: str) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise UserError(
            f"{name}: damaged, or not written by idxflow; `dvc repro` makes its own files anew, "
            "once they are deleted"
        ) from error
