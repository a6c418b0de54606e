"""What a training leaves, as values and as bytes, which can be kept or sent to another machine."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from src.core.progress import Epoch
from src.core.tensorfile import pack, unpack
from src.models.scoring import Predictions
from src.training.fit import Fit


@dataclass(frozen=True)
class Result:
    """The end of a training, whatever its kind and wherever it ran."""

    fit: Fit
    parameters: int  # of the model, trainable ones
    seconds: float  # with validation, and what it took to have images and base model ready
    predictions: Mapping[str, Predictions]  # by image set
    model: bytes | None = None  # the content of its file, where the job asks for it
    alone: bool = False  # whether its command had one worker, so that times mean something
    machine: Mapping[str, str] = field(default_factory=dict)  # the worker's, by describe_worker

    def metrics(self) -> dict[str, float]:
        """The kept epoch's, and the accuracy, 0 to 1, on each image set predicted."""
        accuracies = {
            f"{name.replace('.', '_')}_accuracy": made.accuracy
            for name, made in self.predictions.items()
        }
        return {**self.fit.kept.as_kept(), **accuracies}


def to_bytes(result: Result) -> bytes:
    tensors: dict[str, Tensor] = {}
    for name, made in result.predictions.items():
        tensors |= {f"logits/{name}": made.logits, f"labels/{name}": made.labels}
    if result.model is not None:
        tensors["model"] = torch.frombuffer(bytearray(result.model), dtype=torch.uint8)
    about = {
        "epochs": [asdict(epoch) for epoch in result.fit.epochs],
        "kept": result.fit.kept.epoch,
        "parameters": result.parameters,
        "seconds": result.seconds,
        "alone": result.alone,
        "machine": dict(result.machine),
        "predicted": list(result.predictions),
    }
    return pack(tensors, about)


def from_bytes(content: bytes, name: str) -> Result:
    """The result; a UserError calls `content` by this name if it is damaged."""
    tensors, about = unpack(content, name)
    epochs = tuple(Epoch(**epoch) for epoch in about["epochs"])
    return Result(
        Fit(epochs, epochs[about["kept"] - 1]),
        about["parameters"],
        about["seconds"],
        {
            each: Predictions(tensors[f"logits/{each}"], tensors[f"labels/{each}"])
            for each in about["predicted"]
        },
        tensors["model"].numpy().tobytes() if "model" in tensors else None,
        about["alone"],
        about["machine"],
    )
