import pytest
import torch

from src.crossval.scores import HeldOut, scores
from src.data.imageset import ImageSet


def test_folds_are_put_together_again_in_the_order_of_the_data() -> None:
    """Eight training and four validation images, of which one each has a wrong label."""
    truth = torch.tensor([0, 1] * 6)
    labels = truth.clone()
    labels[[3, 10]] = 1 - truth[[3, 10]]
    images = torch.zeros(12, 1, 4, 4, dtype=torch.uint8)
    data = ImageSet(images, labels, ("a", "b"), (0.0,), (1.0,))
    logits = torch.nn.functional.one_hot(truth, 2).float() * 6
    folds = [
        HeldOut(places, logits[places])
        for places in (
            torch.tensor([11, 3, 0, 4]),
            torch.tensor([10, 1, 2]),
            torch.tensor([9, 8, 7, 6, 5]),
        )
    ]
    finding = scores(folds, data, 8, 4)
    table = finding.tables["label_issues.csv"]
    found = table[["split", "index", "label", "suggested"]].to_numpy().tolist()
    assert sorted(found) == [["train", 3, "a", "b"], ["val", 2, "b", "a"]]
    assert finding.metrics["accuracy"] == pytest.approx(10 / 12)
    assert finding.metrics["label_issues"] == 2
    rows = finding.tables["folds.csv"]
    assert rows["fold"].tolist() == ["1", "2", "3", "all"]
    assert rows["n"].tolist() == [4, 3, 5, 12]
    assert rows["accuracy"].tolist() == pytest.approx([3 / 4, 2 / 3, 1, 10 / 12])
    assert "of 12 images" in finding.text
