from pathlib import Path

import pandas as pd
import torch

from src.data.report import class_counts, duplicates, pixel_statistics, write_data_report
from src.data.splits import Splits


def test_class_counts_add_up(few: Splits) -> None:
    table = class_counts(few)
    assert table["class"].tolist() == [str(digit) for digit in range(10)]
    assert table["train"].sum() == 400
    assert table["test"].tolist() == few.test.labels.bincount(minlength=10).tolist()


def test_pixel_statistics_are_of_each_split(few: Splits) -> None:
    table = pixel_statistics(few).set_index("split")
    assert table.loc["val", "images"] == 100
    assert table.loc["train", "mean"] == few.train.images.double().mean().item()
    assert (table.loc["test", "min"], table.loc["test", "max"]) == (0, 255)


def test_a_test_image_that_is_in_training_or_validation_is_found(few: Splits) -> None:
    assert duplicates(few).empty
    planted = few.test.subset(torch.arange(100))
    planted.images[3] = few.train.images[17]
    planted.images[5] = few.val.images[2]
    found = duplicates(Splits(few.train, few.val, planted))
    assert found[["test_index", "split", "index"]].to_numpy().tolist() == [
        [3, "train", 17],
        [5, "val", 2],
    ]


def test_the_report_is_the_same_bytes_each_time(tmp_path: Path, few: Splits) -> None:
    contents = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        write_data_report(few, folder)
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {
        "class_counts.csv",
        "duplicates.csv",
        "means.png",
        "pixels.csv",
        "samples.png",
    }
    assert pd.read_csv(tmp_path / "a" / "duplicates.csv").empty
