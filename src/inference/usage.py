"""How a model is used: what evaluate finds out about it, and an exported file carries.

Without torch, so that an exported file is used without it, too.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from src.core import paths
from src.core.errors import UserError
from src.inference.layout import Layout


@dataclass(frozen=True)
class Usage:
    """weights: SHA-256 of their file; classes: names of the logits; image_shape: channels, height,
    width.

    The rest is None for a model that has not been evaluated. home: the data that it is for, source
    or target; temperature: what logits are divided by for calibrated probabilities; furthest: the
    distance from the training images above which an image is unlike them (see `served.Typical`);
    layout: of the training images.
    """

    weights: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    home: str | None = None
    temperature: float | None = None
    furthest: float | None = None
    layout: Layout | None = None

    @property
    def is_evaluated(self) -> bool:
        return self.home is not None

    def as_tree(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> Self:
        """The inverse; KeyError, TypeError or ValueError for any other tree."""
        channels, height, width = tree["image_shape"]
        layout = tree["layout"]
        return cls(
            **{
                **tree,
                "classes": tuple(tree["classes"]),
                "image_shape": (channels, height, width),
                "layout": Layout(**layout) if layout else None,
            }
        )


def sha256(content: bytes) -> str:
    """By which files are told from each other, whatever they are called."""
    return hashlib.sha256(content).hexdigest()


def to_text(found: Mapping[str, Usage]) -> str:
    """The content of `paths.USAGE`, by the model's name."""
    return json.dumps({name: usage.as_tree() for name, usage in found.items()}, indent=2) + "\n"


def evaluated(weights: str) -> tuple[str, Usage] | tuple[None, None]:
    """The name and the use of the model with weights of this hash, if evaluate knows it."""
    if not paths.USAGE.exists():
        return None, None
    try:
        for name, tree in json.loads(paths.USAGE.read_text("utf-8")).items():
            if tree["weights"] == weights:
                return name, Usage.from_tree(tree)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{paths.USAGE}: damaged; delete it, then `dvc repro`") from error
    return None, None
