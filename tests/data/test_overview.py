from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
import torch

from src.core.finding import publish
from src.data.overview import class_counts, duplicates, overview, pixel_statistics
from src.data.splits import Splits


def test_class_counts_add_up(few: Splits) -> None:
    table = class_counts(few)
    assert table["class"].tolist() == [str(digit) for digit in range(10)]
    assert table["train"].sum() == 400
    assert table["test"].tolist() == few.test.labels.bincount(minlength=10).tolist()


def test_pixel_statistics_are_of_each_split(few: Splits) -> None:
    table = pixel_statistics(few).set_index("split")
    pixels = few.val.images.double()
    assert table["images"].tolist() == [400, 100, 100]
    assert table.loc["val", "mean"] == pytest.approx(pixels.mean().item())
    assert table.loc["val", "std"] == pytest.approx(pixels.std(correction=0).item())
    assert table.loc["val", "share_background"] == (pixels == 0).double().mean().item()
    assert (table.loc["test", "min"], table.loc["test", "max"]) == (0, 255)


def test_statistics_have_the_same_bits_with_any_number_of_threads(mnist_5k: Splits) -> None:
    tables = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        tables.append(pixel_statistics(mnist_5k).to_csv())
    assert tables[0] == tables[1] == tables[2]


def test_a_test_image_that_trains_or_validates_is_found_in_either_role(few: Splits) -> None:
    planted = few.test.subset(torch.arange(100))
    planted.images[3] = few.train.images[17]
    planted.images[5] = few.val.images[2]
    other = few._replace(
        train=few.train.subset(torch.arange(200, 400)),
        val=few.val.subset(torch.arange(50, 100)),
        test=planted,
    )
    assert duplicates({"source": few}).empty
    assert duplicates({"source": other}).empty
    found = duplicates({"source": few, "target": other})
    assert found[["test_set", "test_index", "found_in", "index"]].to_numpy().tolist() == [
        ["target", 3, "source train", 17],
        ["target", 5, "source val", 2],
    ]


def test_every_copy_is_counted_and_the_first_is_named(few: Splits) -> None:
    image = few.test.images[7]
    train = few.train.subset(torch.arange(400))
    train.images[[20, 300]] = image
    [found] = duplicates({"source": few._replace(train=train)}).to_dict("records")
    name = few.train.classes[int(few.train.labels[20])]
    assert (found["test_index"], found["index"], found["class"], found["copies"]) == (
        7,
        20,
        name,
        2,
    )


class Record:
    """Forgets what it is given: tests/tracking tests the real one."""

    def metrics(self, values: Mapping[str, float]) -> None:
        assert values["source_train_images"] == 400

    def file(self, path: Path) -> None:
        assert path.is_dir()

    def note(self, text: str) -> None:
        assert "images" in text


def test_the_report_is_the_same_bytes_each_time(tmp_path: Path, few: Splits) -> None:
    contents = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        roles = {"source": few, "target": few}
        publish([overview(roles, {"source": "a", "target": "b"})], folder, Record())
        files = [path for path in folder.rglob("*") if path.is_file()]
        contents.append({path.relative_to(folder): path.read_bytes() for path in files})
    assert contents[0] == contents[1]
    names = {"class_counts.csv", "means.svg", "pixels.csv", "samples.svg"}
    assert {str(path) for path in contents[0]} == {
        "duplicates.csv",
        "summary.txt",
        "warnings.csv",
        *(f"{role}/{name}" for role in ("source", "target") for name in names),
    }
    assert pd.read_csv(tmp_path / "a" / "duplicates.csv").empty
