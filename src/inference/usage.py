"""How a model is used: what evaluate finds out about it, and an exported file carries.

Without torch, so that an exported file is used without it, too.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from src.inference.layout import Layout


@dataclass(frozen=True)
class Usage:
    """model: SHA-256 of the file with the weights; classes: names of the logits; image_shape:
    channels, height, width.

    The rest is None for a model that evaluate has not seen. home: the data that it is for, source
    or target; temperature: what logits are divided by for calibrated probabilities; furthest: the
    distance from the training images above which an image is unlike them (see `served.Typical`);
    layout: of the training images.
    """

    model: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    home: str | None = None
    temperature: float | None = None
    furthest: float | None = None
    layout: Layout | None = None

    def as_tree(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse; KeyError, TypeError or ValueError for any other text."""
        return cls.from_tree(json.loads(text))

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Self:
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
