"""Data that are well formed, but hardly what was meant: what was seen, and what to do about it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from src.core.errors import UserError, first_line
from src.data.imageset import ImageSet, present
from src.data.splits import Splits

# What each does to images [..., H, W], and what undoes it, for an array [N, H, W] of NumPy.
TURNS: Mapping[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "as they are": (lambda images: images, "images"),
    "turned by 90 degrees": (lambda images: images.rot90(1, (-2, -1)), "rot90(images, 1, (1, 2))"),
    "turned by 180 degrees": (lambda images: images.rot90(2, (-2, -1)), "rot90(images, 2, (1, 2))"),
    "turned by 270 degrees": (lambda images: images.rot90(3, (-2, -1)), "rot90(images, 3, (1, 2))"),
    "transposed": (lambda images: images.mT, "images.swapaxes(1, 2)"),
    "mirrored": (lambda images: images.flip(-1), "images[:, :, ::-1]"),
    "upside down": (lambda images: images.flip(-2), "images[:, ::-1]"),
    "transposed and turned": (
        lambda images: images.mT.rot90(2, (-2, -1)),
        "rot90(images, 2, (1, 2)).swapaxes(1, 2)",
    ),
}
ENOUGH = 100  # images, to judge by how many of them are read
MOST = 2_000  # are looked at, of the source's as many of each class
# Of real data sets of digits, every pair is read best as it is, by 0.026 and more; if one is
# transposed, the right turn is ahead by 0.105 and more.
CLEAR = 0.1
SEEN = 0.01  # share of test images that train, too; in the built-in data sets there is none


def doubts(
    roles: Mapping[str, Splits], names: Mapping[str, str], twins: pd.DataFrame
) -> pd.DataFrame:
    """A row per doubt, with the role and a sentence; roles, names: by role; twins: duplicates."""
    rows = []
    for role, splits in roles.items():
        seen = twins.loc[twins["test_set"] == role, "test_index"].nunique()
        found = [*_of_one(splits), *_of_copies(seen, len(splits.test))]
        rows += [(role, f"data.{role} ({names[role]}): {sentence}") for sentence in found]
    source, target = roles["source"].train, roles["target"].train
    if source.classes == target.classes and len(target) >= ENOUGH:
        rows += [("target", f"data.target: {each}") for each in _of_pair(source, target)]
    return pd.DataFrame(rows, columns=pd.Index(["role", "warning"]))


def read_warnings(path: Path) -> pd.DataFrame:
    """What preprocess doubted about the data: role and sentence."""
    try:
        return pd.read_csv(path)[["role", "warning"]]
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{path}: not a table of warnings ({first_line(error)}); run `dvc repro`"
        ) from error


def _of_one(splits: Splits) -> Iterator[str]:
    data = splits.train
    empty = [
        name
        for label, name in enumerate(data.classes)
        if not any((part.labels == label).any() for part in splits)
    ]
    if empty:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        yield f"class {empty[0]}{more} has no image; take it out of classes.txt, or add some"
    if data.images.max() <= 1:
        yield "no pixel is above 1 of 255; scale the images by 255 if they are on the scale 0 to 1"
    if _dark_on_light(data):
        yield (
            "the images look dark on light, and 0 is the background here as it is in MNIST; "
            "invert them: 255 - images"
        )


def _dark_on_light(data: ImageSet) -> bool:
    """Whether most grey images have a light border, lighter than the whole of the image."""
    images = data.images[:MOST].float()
    if images.shape[1] != 1:
        return False
    edges = (images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1])
    border = torch.cat([edge.flatten(1) for edge in edges], 1).median(1).values
    light = (border > 127) & (border > images.flatten(1).mean(1))
    return int(light.sum()) > len(images) / 2


def _of_copies(seen: int, images: int) -> Iterator[str]:
    if seen > SEEN * images:
        yield (
            f"{seen} of {images} test images are training or validation images, too, so the "
            "accuracy on them says nothing; take them out: reports/data/duplicates.csv lists them"
        )


def _of_pair(source: ImageSet, target: ImageSet) -> Iterator[str]:
    """Whether target images look like source images of their class only when turned or inverted.

    Read by the nearest class mean, which needs no model.
    """
    known = present(source.labels)
    means = torch.stack([_direction(source.first_of(label, MOST)).mean(0) for label in known])
    images, labels = target.images[:MOST], target.labels[:MOST]

    def read(turned: Tensor) -> float:
        nearest = known[(_direction(turned) @ means.T).argmax(1)]
        return int((nearest == labels).sum()) / len(labels)

    found = {}
    for how, (turn, cure) in TURNS.items():
        turned = turn(images)
        if turned.shape == images.shape:
            found[how, cure] = read(turned)
            inverted = "inverted" if how == "as they are" else f"inverted and {how}"
            found[inverted, f"255 - {cure}"] = read(255 - turned)
    now = found["as they are", "images"]
    (how, cure), best = max(found.items(), key=lambda item: item[1])
    if best > now + CLEAR:
        yield (
            f"{100 * best:.0f} % of its images look like those of data.source if they are {how}, "
            f"and {100 * now:.0f} % as they are; correct the files: {cure}"
        )


def _direction(images: Tensor) -> Tensor:
    """Images as rows [N, pixels] of length 1 without their mean: contrast plays no part."""
    rows = images.flatten(1).float()
    rows = rows - rows.mean(1, keepdim=True)
    return torch.nn.functional.normalize(rows)
