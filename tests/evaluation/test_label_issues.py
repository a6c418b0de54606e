import torch

from src.evaluation.label_issues import find_issues, label_issues, name_classes
from src.evaluation.predictions import Evaluation


def test_planted_errors_are_found_the_most_confident_first() -> None:
    truth = torch.arange(4).repeat(25)
    logits = torch.nn.functional.one_hot(truth, 4).float() * 4
    logits += torch.randn(100, 4, generator=torch.Generator().manual_seed(0)) * 0.1
    logits[7] *= 2
    logits[41] *= 1.5
    labels = truth.clone()
    labels[[7, 20]] = 0  # really 3 and 0, so that the second is none
    labels[[41]] = 3  # really 1
    table = find_issues(logits, labels)
    assert table.index.tolist() == [7, 41]
    assert table["suggested"].tolist() == [3, 1]
    assert table["label"].tolist() == [0, 3]
    named = name_classes(table, ("a", "b", "c", "d"))
    assert named["suggested"].tolist() == ["d", "b"]
    assert named["index"].tolist() == [7, 41]


def test_a_mistake_of_low_confidence_is_no_issue() -> None:
    """The wrong class is predicted with less confidence than its own images usually get."""
    logits = torch.tensor([[5.0, 0.0], [5.0, 0.0], [0.0, 5.0], [0.0, 5.0], [0.4, 0.6]])
    labels = torch.tensor([0, 0, 1, 1, 0])
    assert find_issues(logits, labels).empty


def test_a_class_without_images_is_never_suggested() -> None:
    logits = torch.tensor([[0.0, 0.0, 9.0], [0.0, 9.0, 0.0]])
    assert find_issues(logits, torch.tensor([0, 1])).empty


def test_each_class_has_its_own_average() -> None:
    """An easy class needs a higher probability than a hard one."""
    easy, hard = torch.tensor([0.98, 0.01, 0.01]).log(), torch.tensor([0.2, 0.6, 0.2]).log()
    logits = torch.stack([easy] * 10 + [hard] * 10 + [torch.tensor([0.2, 0.1, 0.7]).log()])
    claims = torch.stack([torch.tensor([0.8, 0.1, 0.1]).log(), torch.tensor([0.1, 0.7, 0.2]).log()])
    labels = torch.tensor([0] * 10 + [1] * 10 + [2] + [2, 2])
    table = find_issues(torch.cat([logits, claims]), labels)
    assert table.index.tolist() == [22]
    assert table["suggested"].tolist() == [1]


def test_an_image_that_is_predicted_as_labelled_is_no_issue() -> None:
    doubtful = torch.tensor([[0.5, 0.4, 0.1], [0.6, 0.35, 0.05], [0.58, 0.35, 0.07]]).log()
    assert find_issues(doubtful, torch.tensor([0, 0, 1])).index.tolist() == [2]


def evaluation(labels: list[int]) -> Evaluation:
    """Of eight images of two classes, the first four predicted as 0 and the others as 1."""
    read = torch.tensor([0] * 4 + [1] * 4)
    logits = torch.nn.functional.one_hot(read, 2).float() * 6
    images = torch.zeros(8, 1, 4, 4, dtype=torch.uint8)
    return Evaluation({}, images, torch.tensor(labels), logits, ("a", "b"))


def test_each_test_set_is_checked_by_the_model_trained_for_it() -> None:
    right = evaluation([0, 0, 0, 0, 1, 1, 1, 1])
    found = {
        "base": {"source": evaluation([1, 0, 0, 0, 1, 1, 1, 1]), "target": right},
        "finetuned": {"source": right, "target": evaluation([0, 0, 0, 0, 1, 1, 1, 0])},
    }
    finding = label_issues(found, 4)
    for role, index, suggested in (("source", 0, "a"), ("target", 7, "b")):
        table = finding.tables[f"label_issues_{role}.csv"]
        assert table[["index", "suggested"]].to_numpy().tolist() == [[index, suggested]]
        assert f"label_issues_{role}.svg" in finding.figures
