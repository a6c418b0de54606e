"""What runs a model: ONNX Runtime on an exported file, else torch on the weights."""

import hashlib
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from src.core.errors import UserError, first_line, warn
from src.inference.usage import Usage

BATCH = 500  # images at a time; bounds the memory
USAGE = "idxflow"  # of the metadata of an exported file


class Outputs(NamedTuple):
    """For N images, float32. distances: from the training images, 0 or more."""

    logits: np.ndarray  # [N, classes]
    probabilities: np.ndarray  # [N, classes], calibrated
    distances: np.ndarray  # [N]


class Engine(Protocol):
    """A model that is ready for use."""

    name: str  # of what computes
    usage: Usage

    def run(self, pixels: np.ndarray) -> Outputs:
        """pixels: uint8 [N, C, H, W]."""
        ...


class Onnx:
    """An exported file. It needs no torch, so a prediction starts in a third of the time."""

    name = "ONNX Runtime"

    def __init__(self, content: bytes, name: str) -> None:
        """name: in errors. Raises UserError for a file that `src.export` did not write."""
        # Imported here, so that what uses the other engine does without it.
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(
                content, providers=["CPUExecutionProvider"]
            )
            self.about: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
            self.usage = Usage.from_json(self.about[USAGE])
        except Exception as error:  # the runtime raises a dozen kinds, of no common base
            raise UserError(
                f"{name}: damaged, or not written by src.export ({first_line(error)})"
            ) from error

    def run(self, pixels: np.ndarray) -> Outputs:
        batches = np.split(pixels, range(BATCH, len(pixels), BATCH))
        found = [self._session.run([*Outputs._fields], {"pixels": batch}) for batch in batches]
        return Outputs(*map(np.concatenate, zip(*found, strict=True)))


class Torch:
    """The weights themselves, with what evaluate found out about them."""

    name = "torch"

    def __init__(self, path: Path) -> None:
        """Raises UserError if the file is missing or not a model."""
        # Imported here: it takes longer than all else.
        from src.inference.served import load_served

        self.served = load_served(path)
        self.usage = self.served.usage

    def run(self, pixels: np.ndarray) -> Outputs:
        import torch

        with torch.inference_mode():
            found = [self.served(batch) for batch in torch.from_numpy(pixels).split(BATCH)]
        return Outputs(*(torch.cat(parts).numpy() for parts in zip(*found, strict=True)))


def exported(weights: Path) -> Path:
    """Where the exported file of a model is."""
    return weights.with_suffix(".onnx")


def open_model(path: Path) -> Engine:
    """A model by its exported file, or by its weights: of these the export, where there is one.

    Raises UserError if the file is missing or not a model; an export of other weights is passed
    over with a warning.
    """
    if path.suffix == ".onnx":
        return open_export(path)
    if exported(path).exists():
        engine = open_export(exported(path))
        if engine.usage.model == _sha256(path):
            return engine
        warn(f"{exported(path)}: not of {path} as it is now; `python -m src.export` renews it")
    return Torch(path)


def open_export(path: Path) -> Onnx:
    try:
        return Onnx(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found; `python -m src.export` makes it") from error


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found; `dvc repro` makes it") from error
