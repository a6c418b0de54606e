"""Small files of each published format, written as their publishers do."""

import bz2
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from torchvision.datasets import EMNIST, USPS

from src.data.catalogue import BALANCED, CATALOGUE, Published
from src.data.idx import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Array,
    read_idx,
    write_idx,
)
from src.data.sources import obtain

RANDOM = np.random.default_rng(0)
# Train and test differ, lest one be taken for the other.
IMAGES = {
    part: RANDOM.integers(0, 256, (count, 28, 28), np.uint8)
    for part, count in (("train", 6), ("test", 5))
}
FILES = {"train": (TRAIN_IMAGES, TRAIN_LABELS), "test": (TEST_IMAGES, TEST_LABELS)}

Fetch = Callable[[str, dict[str, Path]], dict[str, Array]]


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    """Publish the files by these names on a mirror; the IDX files that are made of them."""

    def fetch(dataset: str, files: dict[str, Path]) -> dict[str, Array]:
        row = CATALOGUE[dataset]
        published = row.source
        assert isinstance(published, Published)
        assert list(files) == list(published.checksums)
        sums = {
            name: f"md5:{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}"
            for name, path in files.items()
        }
        small = replace(published, checksums=sums, mirrors=())
        monkeypatch.setitem(CATALOGUE, dataset, row._replace(source=small))
        mirror = tmp_path / "mirror"
        for name, path in files.items():
            (mirror / published.folder).mkdir(parents=True, exist_ok=True)
            path.rename(mirror / published.folder / name)
        monkeypatch.setenv("DATA_MIRROR", str(mirror))
        obtain(dataset, tmp_path / "raw", tmp_path / "downloads")
        return {path.name: read_idx(path) for path in (tmp_path / "raw").iterdir()}

    return fetch


def stored(path: Path, array: Array) -> Path:
    write_idx(path, array)
    return path


@pytest.mark.parametrize("dataset", ["fashion-mnist", "kmnist"])
def test_idx_files_are_taken_as_they_are(tmp_path: Path, fetched: Fetch, dataset: str) -> None:
    labels = np.arange(6, dtype=np.uint8)
    arrays = [IMAGES["train"], labels, IMAGES["test"], labels[:5]]
    names = [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS]
    files = {
        name: stored(tmp_path / name, array) for name, array in zip(names, arrays, strict=True)
    }
    made = fetched(dataset, files)
    for name, array in zip(names, arrays, strict=True):
        assert np.array_equal(made[name], array)


def test_a_qmnist_label_is_the_first_of_eight_facts(tmp_path: Path, fetched: Fetch) -> None:
    digits = {"train": [3, 1, 4, 1, 5, 9], "test": [2, 7, 1, 8, 2]}
    files = {}
    for part in ("train", "test"):
        facts = RANDOM.integers(10, 60_000, (len(digits[part]), 8), np.int32)
        facts[:, 0] = digits[part]
        files[f"qmnist-{part}-images-idx3-ubyte.gz"] = stored(tmp_path / f"{part}-i", IMAGES[part])
        files[f"qmnist-{part}-labels-idx2-int.gz"] = stored(tmp_path / f"{part}-l", facts)
    made = fetched("qmnist", files)
    for part, (images, labels) in FILES.items():
        assert np.array_equal(made[images], IMAGES[part])
        assert made[labels].dtype == np.uint8
        assert made[labels].tolist() == digits[part]


@pytest.mark.parametrize(
    ("split", "written", "read"),
    [
        ("letters", [1, 2, 26, 3, 1, 9], [0, 1, 25, 2, 0, 8]),
        ("balanced", [0, 46, 10, 36, 9, 1], [0, 46, 10, 36, 9, 1]),
        ("digits", [9, 0, 1, 2, 3, 4], [9, 0, 1, 2, 3, 4]),
    ],
)
def test_emnist_stands_upright_and_counts_from_0(
    tmp_path: Path, fetched: Fetch, split: str, written: list[int], read: list[int]
) -> None:
    with ZipFile(tmp_path / "packed", "w") as archive:
        for part in ("train", "test"):
            for what, array in (
                ("images-idx3", IMAGES[part]),
                ("labels-idx1", np.array(written[-len(IMAGES[part]) :], np.uint8)),
            ):
                path = stored(tmp_path / "member", array)
                archive.write(path, f"gzip/emnist-{split}-{part}-{what}-ubyte.gz")
    made = fetched(f"emnist-{split}", {"gzip.zip": tmp_path / "packed"})
    for part, (images, labels) in FILES.items():
        assert np.array_equal(made[images][1], IMAGES[part][1].T)
        assert made[labels].tolist() == read[-len(IMAGES[part]) :]


def test_the_classes_of_emnist_are_those_of_torchvision() -> None:
    assert list(BALANCED) == EMNIST.classes_split_dict["balanced"]
    letters = EMNIST.classes_split_dict["letters"][1:]
    assert [name.lower() for name in CATALOGUE["emnist-letters"].facts.classes] == letters


def test_usps_is_read_as_torchvision_reads_it(tmp_path: Path, fetched: Fetch) -> None:
    ink = RANDOM.uniform(-1, 1, (4, 256)).round(6)
    ink[0, :2] = [-1, 1]
    lines = [
        " ".join([str(label), *(f"{place}:{value}" for place, value in enumerate(row, start=1))])
        for label, row in zip((1, 10, 5, 3), ink, strict=True)
    ]
    files = {}
    for name, shown in (("usps.bz2", lines), ("usps.t.bz2", lines[1:])):
        packed = bz2.compress("\n".join(shown).encode())
        (tmp_path / f"{name}-as-published").write_bytes(packed)
        (tmp_path / name).write_bytes(packed)
        files[name] = tmp_path / f"{name}-as-published"
    made = fetched("usps", files)
    for train, (images, labels) in ((True, FILES["train"]), (False, FILES["test"])):
        other = USPS(str(tmp_path), train=train)
        assert np.array_equal(made[images], other.data)
        assert made[labels].tolist() == other.targets == [0, 9, 4, 2][0 if train else 1 :]
