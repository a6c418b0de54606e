"""What is said of smaller models follows from what they achieve."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch

from src.compress.findings import as_markdown, by_seed, choice, distillation, front, summarise
from src.compress.measure import Cost, Model
from src.compress.plan import Key
from src.compress.sensitivity import SHARES, sensitivity
from src.core.stats import wilson
from src.data.imageset import TrainVal
from src.data.splits import Splits
from src.evaluation.predictions import Evaluation
from src.models.cost import weighted
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


def test_a_row_has_the_mean_over_seeds_and_the_first_seed_beside_the_original() -> None:
    table = summarise(MODELS).set_index("model")
    assert [*table.index] == ["base", "half", "tiny"]
    half, base = table.loc["half"], table.loc["base"]
    assert half["source"] == pytest.approx(1 - 14 / N)
    assert (half["source_lo"], half["source_hi"]) == wilson(N - 14, N)  # of the mean accuracy
    assert half["difference"] == pytest.approx(-2 / N)
    assert half["p"] == 0.5  # of two images that changed, by McNemar's exact test
    assert (base["difference"], base["p"], base["seeds"], half["seeds"]) == (0.0, 1.0, 1, 2)
    assert base["source_lo"] < base["source"] < base["source_hi"]
    assert (half["bytes"], half["seconds_64"], half["faster_1"]) == (500, 0.02, 2.0)
    assert "| half " in as_markdown(table.reset_index())


def test_every_seed_is_shown_where_there_are_several() -> None:
    alone = pd.DataFrame([("base", 0, 0.95)], columns=["model", "seed", "home_test"])
    both = pd.concat([alone, outcomes([0.99, 0.98], [0.97, 0.96])])
    shown = by_seed(both, "source").splitlines()
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in shown[2:]] == [
        ["student", "99.00", "98.00"],
        ["student-alone", "97.00", "96.00"],
    ]
    assert not by_seed(alone, "source")


def test_the_smallest_that_validation_images_do_not_tell_to_be_worse_is_chosen() -> None:
    """Three mistakes may be chance, thirty are not; the test images play no part."""
    said = choice(MODELS)
    assert said.endswith("half, 500 of 1,000 bytes")
    better_on_test = [MODELS[0], model("tiny", 0, 0, 10, val_wrong=30)]
    assert choice(better_on_test).endswith("base, 1,000 of 1,000 bytes")


def outcomes(taught: Sequence[float], alone: Sequence[float]) -> pd.DataFrame:
    rows = [("student", seed, value) for seed, value in enumerate(taught)]
    rows += [("student-alone", seed, value) for seed, value in enumerate(alone)]
    return pd.DataFrame(rows, columns=["model", "seed", "home_test"])


@pytest.mark.parametrize(
    ("alone", "said"),
    [
        (
            [0.90, 0.91, 0.92],
            "+2.00 points on test images, mean of 3 seeds (95 % interval +2.00",
        ),
        ([0.90, 0.95, 0.91], "no difference can be told"),
    ],
)
def test_distillation_is_judged_by_pairs_of_one_seed(alone: list[float], said: str) -> None:
    [sentence] = distillation(outcomes([0.92, 0.93, 0.94], alone))
    assert sentence.startswith("student against the same network trained alone: ")
    assert said in sentence


def test_the_front_has_what_nothing_beats_in_both() -> None:
    cost = np.array([5.0, 1.0, 3.0, 4.0, 3.0])
    value = np.array([0.9, 0.7, 0.8, 0.75, 0.85])
    assert front(cost, value) == [1, 4, 0]


def test_each_layer_is_pruned_alone(few: Splits) -> None:
    checkpoint = trained(few)
    table = sensitivity(checkpoint, TrainVal(few.train, few.val)).tables["sensitivity.csv"]
    layers = weighted(checkpoint.model)[:-1]
    assert len(table) == len(layers) * len(SHARES)
    whole = float((predict(checkpoint.model, few.val).argmax(1) == few.val.labels).double().mean())
    assert set(table.loc[table["taken"] == 0, "accuracy"]) == {whole}
    for (_, rows), layer in zip(table.groupby("layer"), layers, strict=True):
        units = layer.weight.shape[0]
        assert rows["units"].tolist() == [max(1, round((1 - share) * units)) for share in SHARES]
    assert table["accuracy"].min() < whole
    assert not any(map(math.isnan, table["accuracy_lo"]))
