from pathlib import Path

import pandas as pd
import pytest
import torch

from src.crossval.folds import Fold
from src.crossval.scores import write_crossval
from src.data.imageset import ImageSet


def test_folds_are_put_together_again_in_the_order_of_the_data(tmp_path: Path) -> None:
    """Eight training and four validation images, of which one each has a wrong label."""
    truth = torch.tensor([0, 1] * 6)
    labels = truth.clone()
    labels[[3, 10]] = 1 - truth[[3, 10]]
    images = torch.zeros(12, 1, 4, 4, dtype=torch.uint8)
    data = ImageSet(images, labels, ("a", "b"), (0.0,), (1.0,))
    said = torch.nn.functional.one_hot(truth, 2).float() * 6
    folds = [
        Fold(places, said[places])
        for places in (
            torch.tensor([11, 3, 0, 4]),
            torch.tensor([10, 1, 2]),
            torch.tensor([9, 8, 7, 6, 5]),
        )
    ]
    metrics, words = write_crossval(folds, data, 8, 4, tmp_path)
    table = pd.read_csv(tmp_path / "suspects.csv")
    found = table[["split", "index", "label", "claimed"]].to_numpy().tolist()
    assert sorted(found) == [["train", 3, "a", "b"], ["val", 2, "b", "a"]]
    assert metrics["accuracy"] == pytest.approx(10 / 12)
    assert metrics["suspected_labels"] == 2
    rows = pd.read_csv(tmp_path / "folds.csv", dtype={"fold": str})
    assert rows["fold"].tolist() == ["1", "2", "3", "all"]
    assert rows["n"].tolist() == [4, 3, 5, 12]
    assert rows["accuracy"].tolist() == pytest.approx([3 / 4, 2 / 3, 1, 10 / 12])
    assert "of 12 images" in words
