"""What runs a model: ONNX Runtime on an exported file, else torch on the weights."""

import json
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from src.core.errors import UserError, first_line, warn
from src.inference.usage import Usage, evaluated, sha256

BATCH = 500  # images at a time; bounds the memory
USAGE, DIGEST = "idxflow", "digest"  # of the metadata of an exported file
UNSEALED = 64 * b"0"  # the digest while it is computed, of which it cannot be a part


class Outputs(NamedTuple):
    """For N images, float32. distances: from the training images, 0 or more."""

    logits: np.ndarray  # [N, classes]
    probabilities: np.ndarray  # [N, classes], calibrated
    distances: np.ndarray  # [N]


class Engine(Protocol):
    """A model that is ready for use."""

    usage: Usage

    def run(self, pixels: np.ndarray) -> Outputs:
        """pixels: uint8 [N, C, H, W]."""
        ...


class Onnx:
    """An exported file. It needs no torch, so a prediction starts in a third of the time."""

    def __init__(self, content: bytes, name: str, threads: int = 0) -> None:
        """name: in errors; threads: 0 for as many as there are cores.

        Raises UserError for a file that `src.export` did not write.
        """
        # Imported here, so that what uses the other engine does without it.
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
            self.about: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
            self.usage = Usage.from_tree(json.loads(self.about[USAGE]))
            digest = self.about[DIGEST].encode()
            if sha256(content.replace(digest, UNSEALED)).encode() != digest:
                raise ValueError("its content is not as it was written")
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

    def __init__(self, path: Path) -> None:
        """Raises UserError if the file is missing or not a model."""
        if path.suffix == ".onnx":
            raise UserError(f"{path}: is an exported file; name the weights, *.safetensors")
        # Imported here: it takes longer than all else.
        from src.inference.served import load_served

        self.served = load_served(path)
        self.usage = self.served.usage

    def run(self, pixels: np.ndarray) -> Outputs:
        import torch

        with torch.inference_mode():
            found = [self.served(batch) for batch in torch.from_numpy(pixels).split(BATCH)]
        return Outputs(*(torch.cat(parts).numpy() for parts in zip(*found, strict=True)))


def sealed(content: bytes) -> bytes:
    """An exported file with its digest in the place of UNSEALED, so that damage is noticed."""
    return content.replace(UNSEALED, sha256(content).encode())


def exported(weights: Path) -> Path:
    """Where the exported file of a model is."""
    return weights.with_suffix(".onnx")


def open_model(path: Path) -> Engine:
    """A model by its exported file, or by its weights: of these the export, where there is one.

    Raises UserError if the file is missing or not a model. Warns of an export that is not of these
    weights as evaluate knows them, and uses the weights; and of a model that was not evaluated.
    """
    engine = _engine(path)
    warn_unless_evaluated(engine.usage, path)
    return engine


def warn_unless_evaluated(usage: Usage, path: Path) -> None:
    if not usage.is_evaluated:
        warn(f"{path}: `dvc repro` has not evaluated it, so its probabilities are not calibrated")


def _engine(path: Path) -> Engine:
    if path.suffix == ".onnx":
        return open_export(path)
    if exported(path).exists():
        engine = open_export(exported(path))
        if is_current(engine, path):
            return engine
        warn(f"{exported(path)}: not of {path} as it is now; `python -m src.export` renews it")
    return Torch(path)


def open_export(path: Path) -> Onnx:
    try:
        return Onnx(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found; `python -m src.export` makes it") from error
    except IsADirectoryError as error:
        raise UserError(f"{path}: should be a file, not a folder") from error


def is_current(export: Onnx, weights: Path) -> bool:
    """Whether an export is of these weights, and knows what evaluate knows of them."""
    try:
        content = sha256(weights.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{weights}: not found; `dvc repro` makes it") from error
    _, usage = evaluated(content)
    return export.usage == usage if usage else export.usage.weights == content
