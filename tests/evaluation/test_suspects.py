import torch

from src.evaluation.suspects import name_classes, suspects


def test_planted_errors_are_found_the_surest_first() -> None:
    truth = torch.arange(4).repeat(25)
    logits = torch.nn.functional.one_hot(truth, 4).float() * 4
    logits += torch.randn(100, 4, generator=torch.Generator().manual_seed(0)) * 0.1
    logits[7] *= 2
    logits[41] *= 1.5
    labels = truth.clone()
    labels[[7, 20]] = 0  # really 3 and 0, so that the second is none
    labels[[41]] = 3  # really 1
    table = suspects(logits, labels)
    assert table.index.tolist() == [7, 41]
    assert table["claimed"].tolist() == [3, 1]
    assert table["label"].tolist() == [0, 3]
    named = name_classes(table, ("a", "b", "c", "d"))
    assert named["claimed"].tolist() == ["d", "b"]
    assert named["index"].tolist() == [7, 41]


def test_doubt_alone_is_no_suspicion() -> None:
    """An image read wrongly, yet less surely than images of that class are."""
    logits = torch.tensor([[5.0, 0.0], [5.0, 0.0], [0.0, 5.0], [0.0, 5.0], [0.4, 0.6]])
    labels = torch.tensor([0, 0, 1, 1, 0])
    assert suspects(logits, labels).empty


def test_a_class_without_images_disputes_nothing() -> None:
    logits = torch.tensor([[0.0, 0.0, 9.0], [0.0, 9.0, 0.0]])
    assert suspects(logits, torch.tensor([0, 1])).empty
