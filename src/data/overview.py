"""What is in a data set: counts, pixels, duplicates, and what its classes look like."""

import hashlib
from collections.abc import Iterator, Mapping

import pandas as pd
import torch
from matplotlib.figure import Figure

from src.core.finding import Finding
from src.core.paths import WARNINGS
from src.core.plots import shortened
from src.core.sheets import contact_sheet, filled_up
from src.data.doubts import doubts
from src.data.imageset import ImageSet, batches
from src.data.pixels import histogram, mean_and_std
from src.data.splits import Splits

COLUMNS = 10  # images in a row of the pictures
ROWS = 50  # classes at most in the picture of samples
NAMED = 100  # classes at most in the picture of means


def overview(roles: Mapping[str, Splits], names: Mapping[str, str]) -> Finding:
    """Counts, pixels, pictures and duplicates of the data sets; roles and names: by role."""
    twins = duplicates(roles)
    doubted = doubts(roles, names, twins)
    tables, figures, lines = {"duplicates.csv": twins, WARNINGS: doubted}, {}, []
    metrics: dict[str, float] = {}
    for role, splits in roles.items():
        tables[f"{role}/class_counts.csv"] = class_counts(splits)
        tables[f"{role}/pixels.csv"] = pixel_statistics(splits)
        figures[f"{role}/samples.svg"] = draw_samples(splits.train)
        figures[f"{role}/means.svg"] = draw_means(splits.train)
        counts = {name: len(data) for name, data in splits._asdict().items()}
        counts["duplicate_test"] = twins.loc[twins["test_set"] == role, "test_index"].nunique()
        metrics |= {f"{role}_{name}_images": count for name, count in counts.items()}
        metrics[f"{role}_warnings"] = int((doubted["role"] == role).sum())
        lines.append(f"{role} {names[role]}, images: {counts}")
    return Finding(tables, figures, metrics, "\n".join(lines), warnings=tuple(doubted["warning"]))


def class_counts(splits: Splits) -> pd.DataFrame:
    """Images of each class (rows) in each split (columns)."""
    classes = splits.train.classes
    counts = {
        name: data.labels.bincount(minlength=len(classes)).tolist()
        for name, data in splits._asdict().items()
    }
    return pd.DataFrame({"class": classes, **counts})


def pixel_statistics(splits: Splits) -> pd.DataFrame:
    """A row per split: number and size of its images, its pixels on the scale 0 to 255."""
    return pd.DataFrame([_pixels(name, data) for name, data in splits._asdict().items()])


def _pixels(name: str, data: ImageSet) -> dict[str, str | int | float]:
    channels, height, width = data.image_shape
    counts = histogram(data.images).sum(0)
    mean, std = mean_and_std(counts)
    values = counts.nonzero()
    return {
        "split": name,
        "images": len(data),
        "channels": channels,
        "height": height,
        "width": width,
        "mean": mean,
        "std": std,
        "min": int(values.min()),
        "max": int(values.max()),
        "share_background": int(counts[0]) / int(counts.sum()),
    }


def duplicates(roles: Mapping[str, Splits]) -> pd.DataFrame:
    """Test images whose exact pixels are also in a training or validation split.

    Every role's test images are looked up in every role's other splits, since all of these train a
    model. A row per test image and split with copies: their number, index and class of the first.
    """
    wanted = {key for splits in roles.values() for key in _keys(splits.test)}
    known: dict[bytes, dict[str, tuple[int, str, int]]] = {}
    for role, splits in roles.items():
        for split, data in (("train", splits.train), ("val", splits.val)):
            for index, key in enumerate(_keys(data)):
                if key not in wanted:  # most are not, and would take memory
                    continue
                places = known.setdefault(key, {})
                here = (index, data.classes[data.labels[index]], 0)
                first, name, copies = places.get(f"{role} {split}", here)
                places[f"{role} {split}"] = (first, name, copies + 1)
    rows = [
        (role, index, splits.test.classes[splits.test.labels[index]], found_in, *twin)
        for role, splits in roles.items()
        for index, key in enumerate(_keys(splits.test))
        for found_in, twin in known.get(key, {}).items()
    ]
    columns = ["test_set", "test_index", "test_class", "found_in", "index", "class", "copies"]
    return pd.DataFrame(rows, columns=pd.Index(columns))


def _keys(data: ImageSet) -> Iterator[bytes]:
    return (hashlib.sha256(image).digest() for image in data.images.numpy())


def draw_samples(data: ImageSet) -> Figure:
    """The first images of each class, a row per class, of the first classes."""
    classes, shown = data.classes[:ROWS], []
    for label in range(len(classes)):
        shown.append(filled_up(data.first_of(label, COLUMNS), COLUMNS))
    title = "training images"
    if len(classes) < len(data.classes):
        title += f" of {len(classes)} of {len(data.classes)} classes"
    return contact_sheet(torch.cat(shown), classes, title, COLUMNS, cell=0.5, by_row=True)


def draw_means(data: ImageSet) -> Figure:
    """The mean image of each of the first classes; 0 everywhere without images."""
    names = shortened(data.classes[:NAMED])
    sums = torch.zeros(len(names), *data.image_shape, dtype=torch.double)  # exact: of bytes
    for images, labels in batches(data, 1000):
        shown = labels < len(names)
        sums.index_add_(0, labels[shown], images[shown].double())
    counts = data.labels.bincount(minlength=len(names))[: len(names)]
    means = (sums / counts[:, None, None, None]).nan_to_num().byte()
    return contact_sheet(means, names, "mean training images", 10)
