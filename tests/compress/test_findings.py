"""What is said of smaller models follows from what they achieve."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from src.compress.findings import as_markdown, by_seed, choice, distillation, front, summarise
from src.compress.measure import Cost, Model
from src.compress.plan import Key
from src.compress.sensitivity import SHARES, sensitivity
from src.config.compression import ALONE
from src.core.stats import wilson
from src.data.imageset import TrainVal
from src.data.splits import Splits
from src.evaluation.predictions import Evaluation
from src.models.cost import weight_layers
from src.models.scoring import predict
from tests.in_use import trained

N = 200


def evaluation(wrong: Sequence[int]) -> Evaluation:
    """Of N images, with the wrong ones by number."""
    labels = torch.zeros(N, dtype=torch.int64)
    logits = torch.zeros(N, 2)
    logits[:, 0] = 1.0
    logits[[*wrong], 1] = 2.0
    metrics = {"accuracy": 1 - len(wrong) / N, "loss": 0.1, "ece": 0.02}
    return Evaluation(metrics, torch.zeros(N, 1, 1, 1), labels, logits, ("0", "1"))


def model(name: str, seed: int, wrong: int, size: int, val_wrong: int = 0) -> Model:
    """Its mistakes are the first images; of a seed above 0 it has no cost."""
    cost = Cost(10, 20, size, {1: 0.001, 64: 0.02}, {1: 2.0, 64: 3.0}) if seed == 0 else None
    found = evaluation(range(wrong))
    return Model(
        Key(name, seed),
        10.0 * seed,
        "source",
        evaluation(range(val_wrong)),
        {"source": found, "target": found},
        cost,
        0.5 if cost else None,
    )


MODELS = [
    model("base", 0, 10, 1000),
    model("half", 0, 12, 500, val_wrong=3),
    model("half", 1, 16, 500),
    model("tiny", 0, 60, 10, val_wrong=30),
]


def test_a_row_has_means_over_the_seeds_and_the_cost_of_the_first() -> None:
    table = summarise(MODELS).set_index("model")
    assert [*table.index] == ["base", "half", "tiny"]
    half, base = table.loc["half"], table.loc["base"]
    assert half["source"] == pytest.approx(1 - 14 / N)
    assert (half["source_lo"], half["source_hi"]) == wilson(N - 14, N)  # of the mean accuracy
    assert half["difference"] == pytest.approx(-4 / N)
    # Of six images that one of both trainings has lost, by the sign test; times one other model.
    assert half["p"] == pytest.approx(2 * 0.5**6)
    assert (base["seeds"], half["seeds"]) == (1, 2)
    assert np.isnan([base["difference"], base["p"], half["over_alone"]]).all()
    assert (half["bytes"], half["seconds_64"], half["faster_1"]) == (500, 0.02, 2.0)
    assert "| half " in as_markdown(table.reset_index())


def test_every_seed_is_shown_where_there_are_several() -> None:
    rows = [("base", 0, 0.95), ("student", 0, 0.99), ("student", 1, 0.98)]
    outcomes = pd.DataFrame(rows, columns=["model", "seed", "home_test"])
    shown = by_seed(outcomes, "source").splitlines()
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in shown[2:]] == [
        ["student", "99.00", "98.00"],
    ]
    assert not by_seed(outcomes.head(2), "source")


def test_the_smallest_that_validation_images_do_not_tell_to_be_worse_is_chosen() -> None:
    """Three mistakes may be chance, thirty are not; the test images play no part."""
    said = choice(MODELS)
    assert ": half, 500 of 1,000 bytes, -1.50 points (95 % interval " in said
    better_on_test = [MODELS[0], model("tiny", 0, 0, 10, val_wrong=30)]
    assert choice(better_on_test).startswith("every smaller model is worse than base (McNemar")
    alone = [MODELS[0], model(f"student{ALONE}", 0, 10, 10)]
    assert "every" in choice(alone)  # which the pipeline does not make


def judged(taught: Sequence[int], alone: Sequence[int]) -> str:
    """What is said of a student and of the same network alone, by their mistakes for each seed."""
    models = [model("student", seed, wrong, 10) for seed, wrong in enumerate(taught)]
    models += [model(f"student{ALONE}", seed, wrong, 10) for seed, wrong in enumerate(alone)]
    table = summarise([MODELS[0], *models])
    [sentence] = distillation(table)
    assert sentence.startswith("student against the same network trained alone: ")
    [gain] = 100 * table.loc[table["model"] == "student", "over_alone"]
    assert f"{gain:+.2f} points on test images" in sentence
    assert f"| {gain:+.2f} " in as_markdown(table)
    return sentence


@pytest.mark.parametrize(
    ("alone", "said"),
    [
        ([20, 19, 18], "+4.00: distillation pays)"),
        ([20, 9, 12], "no difference can be told)"),
        ([4, 3, 2], "-4.00: distillation does harm)"),
    ],
)
def test_distillation_is_judged_by_pairs_of_one_seed(alone: list[int], said: str) -> None:
    assert judged([12, 11, 10], alone).endswith(said)


def test_one_seed_or_none_in_common_gives_no_interval() -> None:
    assert judged([12], [10]).endswith(
        "-1.00 points on test images (one seed alone gives no interval)"
    )
    models = [MODELS[0], model("student", 0, 12, 10), model(f"student{ALONE}", 0, 10, 10)]
    apart = [*models[:2], replace(models[2], key=Key(f"student{ALONE}", 1))]
    assert not [*distillation(summarise(apart))]
    assert not [*distillation(summarise([models[0], models[2]]))]  # its training has failed


def test_the_front_has_what_nothing_beats_in_both() -> None:
    cost = np.array([5.0, 1.0, 3.0, 4.0, 3.0])
    value = np.array([0.9, 0.7, 0.8, 0.75, 0.85])
    assert front(cost, value) == [1, 4, 0]


def test_each_layer_is_pruned_alone(few: Splits) -> None:
    checkpoint = trained(few)
    table = sensitivity(checkpoint, TrainVal(few.train, few.val)).tables["sensitivity.csv"]
    layers = weight_layers(checkpoint.model)[:-1]
    assert len(table) == len(layers) * len(SHARES)
    whole = float((predict(checkpoint.model, few.val).argmax(1) == few.val.labels).double().mean())
    assert set(table.loc[table["removed"] == 0, "accuracy"]) == {whole}
    for (_, rows), layer in zip(table.groupby("layer"), layers, strict=True):
        units = layer.weight.shape[0]
        assert rows["units"].tolist() == [max(1, round((1 - share) * units)) for share in SHARES]
    assert table["accuracy"].min() < whole
    assert not any(map(math.isnan, table["accuracy_lo"]))
