import math
import re

import pytest
import torch
from scipy import stats

from src.config.params import Params
from src.data.imageset import ImageSet
from src.data.splits import Splits
from src.models.checkpoint import Checkpoint, from_bytes
from src.models.scoring import score
from src.training.finetune import Labels, finetune, limit_labels, rehearse
from src.training.jobs import Images, run_job
from src.training.scratch import train_from_scratch
from src.transfer.methods import Outcome, Plan
from src.transfer.summary import as_markdown, summarise, summary
from tests.conftest import shrunk


def outcome(seed: int, method: str, labels: str, target: float) -> Outcome:
    return Outcome(seed, method, labels, target_val=0.5, target_test=target, source_test=0.9)


def test_means_intervals_and_gains_worked_by_hand() -> None:
    outcomes = [
        outcome(0, "zero-shot", "0", 0.5),
        outcome(1, "zero-shot", "0", 0.6),
        *(outcome(seed, "full", "5", 0.8 + 0.02 * seed) for seed in (0, 1)),
        *(outcome(seed, "scratch", "5", 0.6 + 0.04 * seed) for seed in (0, 1)),
    ]
    rows = {row["method"]: row for row in summarise(outcomes).to_dict("records")}
    full = rows["full"]
    assert full["target_test"] == pytest.approx(0.81)
    # Paired by seed: 0.2 and 0.18.
    assert full["gain"] == pytest.approx(0.19)
    half_width = stats.t.ppf(0.975, 1) * 0.01
    assert full["gain_lo"] == pytest.approx(0.19 - half_width)
    assert full["gain_hi"] == pytest.approx(0.19 + half_width)
    assert rows["scratch"]["gain"] == 0
    assert math.isnan(rows["zero-shot"]["gain"])


@pytest.fixture(scope="module")
def flipped(few: Splits) -> Splits:
    """The same digits, upside down: other data of the same classes."""

    def flip(data: ImageSet) -> ImageSet:
        return ImageSet(data.images.flip(2), data.labels, data.classes, data.mean, data.std)

    return Splits(*(flip(split) for split in few))


def named(source: Splits, target: Splits) -> Images:
    return {
        f"{role}.{name}": data
        for role, splits in (("source", source), ("target", target))
        for name, data in splits._asdict().items()
    }


def run(
    params: Params, images: Images, seeds: range, labels: list[Labels]
) -> tuple[list[Outcome], Checkpoint]:
    """The outcomes, and the base model of the first seed."""
    same = images["source.train"].classes == images["target.train"].classes
    plan = Plan(params, seeds, labels, same)
    results = {name: run_job(job, images) for name, job in plan.from_scratch().items()}
    results |= {name: run_job(job, images) for name, job in plan.adaptations(results).items()}
    model = results[f"seed-{seeds[0]}-base"].model
    assert model is not None
    return plan.outcomes(results), from_bytes(model, torch.device("cpu"))


def test_every_method_is_run_with_every_number_of_labels(few: Splits, flipped: Splits) -> None:
    outcomes, _ = run(shrunk(train__epochs=4), named(few, flipped), range(2), [2, "all"])
    ways = ["head", "full", "gradual", "discriminative", "rehearsal", "scratch"]
    tried = [(each.labels, each.method) for each in outcomes[: len(outcomes) // 2]]
    assert tried == [("0", "zero-shot"), *(("2", way) for way in ways), *(("all", w) for w in ways)]
    found = {(each.seed, each.labels, each.method): each for each in outcomes}
    assert found[0, "all", "full"].target_test > found[0, "0", "zero-shot"].target_test
    finding = summary(outcomes)
    assert set(finding.tables["table.csv"]["seeds"]) == {2}
    assert finding.tables["outcomes.csv"].shape[0] == 26
    assert "transfer.svg" in finding.figures
    rows = [re.split(r" *\| *", row) for row in as_markdown(summarise(outcomes)).splitlines()]
    assert ["", "labels per class", "0", "2", "all", ""] in rows
    assert sum(row[:2] == ["", "rehearsal"] for row in rows) == 4


def test_other_classes_leave_no_zero_shot_and_no_rehearsal(few: Splits) -> None:
    def letters(data: ImageSet) -> ImageSet:
        return ImageSet(data.images, data.labels // 2, tuple("abcde"), data.mean, data.std)

    images = named(few, Splits(*(letters(split) for split in few)))
    outcomes, _ = run(shrunk(), images, range(1), [3])
    assert [each.method for each in outcomes] == [
        "head",
        "full",
        "gradual",
        "discriminative",
        "scratch",
    ]
    assert all(math.isnan(each.source_test) for each in outcomes)
    assert "not forgotten" not in as_markdown(summarise(outcomes))
    assert torch.tensor([each.target_test for each in outcomes]).max() > 0.15


def test_each_method_is_what_its_name_says(few: Splits, flipped: Splits) -> None:
    params, seed = shrunk(train__epochs=4), 1
    # Of different sizes, so that none can be taken for another.
    target = flipped._replace(test=flipped.test.subset(torch.arange(90)))
    source = few._replace(test=few.test.subset(torch.arange(80)))
    outcomes, base = run(params, named(source, target), range(seed, seed + 1), [4])
    own = train_from_scratch(params.model, params.train, few.train, few.val, seed).checkpoint
    assert score(base.model, few.test) == score(own.model, few.test)
    labelled = limit_labels(flipped.train, 4, seed)
    config = params.finetune

    def tuned(strategy: str, data: ImageSet) -> Checkpoint:
        changed = config.model_copy(update={"strategy": strategy})
        return finetune(base, changed, data, flipped.val, seed).checkpoint

    ways = {
        "zero-shot": base,
        "rehearsal": tuned("full", rehearse(labelled, few.train, 1.0, seed)),
        "scratch": train_from_scratch(params.model, config, labelled, flipped.val, seed).checkpoint,
        **{way: tuned(way, labelled) for way in ("head", "full", "gradual", "discriminative")},
    }
    for outcome in outcomes:
        model = ways.pop(outcome.method).model
        assert outcome.target_val == score(model, target.val).accuracy
        assert outcome.target_test == score(model, target.test).accuracy
        assert outcome.source_test == score(model, source.test).accuracy
    assert not ways


def test_what_failed_is_missing_in_the_table_and_the_rest_is_there() -> None:
    outcomes = [
        outcome(0, "full", "5", 0.8),
        outcome(0, "scratch", "5", 0.6),
        outcome(1, "full", "5", 0.9),
    ]
    finding = summary(outcomes)
    rows = finding.tables["table.csv"].set_index("method")
    assert (rows.loc["full", "seeds"], rows.loc["scratch", "seeds"]) == (2, 1)
    assert rows.loc["full", "gain"] == pytest.approx(0.2)
    plan = Plan(shrunk(), range(2), [5], same_classes=True)
    assert [*plan.from_scratch()] == [
        "seed-0-base",
        "seed-1-base",
        "seed-0-scratch-5",
        "seed-1-scratch-5",
    ]
    assert plan.adaptations({}) == {}
    assert plan.outcomes({}) == []
