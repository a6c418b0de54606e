"""The choice of a winner: made-up sweeps, real trainings."""

import os
import signal
from typing import Any

import numpy as np
import pytest

from src.core.errors import UserError
from src.execution.pool import Pool
from src.tune.confirm import (
    Candidate,
    Confirmation,
    Confirmed,
    candidates,
    choose,
    confirm,
    recall,
)
from src.tune.study import Study
from src.tune.verdict import in_words
from tests.conftest import shrunk
from tests.tune.conftest import BeginStudy

PRESENT = shrunk(tune__confirm={"top": 2, "seeds": 2})


@pytest.fixture
def swept(begin: BeginStudy) -> Study:
    """A study of which trials 1 and 3 are the best; 2 was pruned, 4 repeats 3."""
    study = begin()
    for batch_size, value in ((8, 0.9), (16, 0.3), (32, None), (64, 0.2), (64, 0.25), (32, 0.8)):
        study.optuna.enqueue_trial({"train.batch_size": batch_size, **OTHERS})
        number = study.claim(100)
        assert number is not None
        if value is None:
            study.prune(number, "worse")
        else:
            study.complete(number, value)
    return study


OTHERS: dict[str, Any] = {
    "train.optimizer.learning_rate": 0.003,
    "model.kernel_sizes.0": 3,
    "model.kernel_sizes.1": 3,
}


def made_up(name: str, losses: list[float], right: list[int], **about: Any) -> Confirmed:
    params = shrunk(train__batch_size=about.pop("batch_size", 32))
    candidate = Candidate(name, params, **about)
    # With the own seed everything is perfect, which must not count.
    rows = [[True] * len(right), *([n > row for n in right] for row in range(len(losses)))]
    return Confirmed(candidate, [0.0, *losses], [1.0, *([0.9] * len(losses))], np.array(rows))


def test_the_best_different_complete_trials_and_the_file_are_candidates(swept: Study) -> None:
    found = candidates(swept, PRESENT)
    assert [candidate.name for candidate in found] == ["trial 3", "trial 1", "params.yaml"]
    assert [candidate.params.train.batch_size for candidate in found] == [64, 16, 32]
    assert found[0].swept == 0.2
    assert found[-1].params == PRESENT


def test_a_candidate_is_trained_with_the_file_s_seed_and_those_after_it() -> None:
    candidate = Candidate("params.yaml", shrunk(seed=2**32 - 1, tune__confirm__seeds=3))
    assert [job.seed for job in candidate.jobs().values()] == [2**32 - 1, 0, 1, 2]


@pytest.mark.parametrize("key", ["train__epochs", "model__hidden", "runtime__threads", "seed"])
def test_what_decides_a_result_decides_where_it_is_kept(key: str) -> None:
    value = [7] if key == "model__hidden" else 7
    first = Candidate("a", shrunk()).jobs()
    assert not set(first) & set(Candidate("a", shrunk(**{key: value})).jobs())
    assert set(first) == set(Candidate("b", shrunk(finetune__epochs=9), trial=3).jobs())


def test_confirming_trains_each_candidate_once_per_seed(
    swept: Study, pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    found = candidates(swept, PRESENT)
    confirm(swept, pool, found)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 3 * (1 + 2)
    assert told[0].startswith("confirm trial 3, seed 0: val loss ")
    confirmation = recall(swept, found)
    assert [one.candidate.name for one in confirmation.trials] == ["trial 3", "trial 1"]
    assert confirmation.present is not None
    assert confirmation.winner == min(confirmation.trials, key=lambda one: one.mean)
    for one in confirmation.trials:
        assert len(set(one.losses)) == 2
        assert one.all_losses[0] not in one.losses
        assert one.times_right[:100].sum() == round(100 * 2 * one.accuracy)
    confirm(swept, pool, found)
    assert capsys.readouterr().out == ""


def test_a_candidate_that_fails_with_a_seed_cannot_win(begin: BeginStudy, pool: Pool) -> None:
    study = begin(values={"train.optimizer.name": "sgd"}, space=SGD)
    for rate in (0.01, 100.0):
        study.optuna.enqueue_trial({"train.optimizer.learning_rate": rate})
        number = study.claim(10)
        assert number is not None
        study.complete(number, 1 / rate)
    present = shrunk(train__optimizer__name="sgd", tune__confirm={"top": 2, "seeds": 2})
    found = candidates(study, present)
    confirm(study, pool, found)
    assert [candidate.name for candidate in found][:2] == ["trial 1", "trial 0"]
    winner = recall(study, found).winner
    assert winner is not None
    assert winner.candidate.name == "trial 0"


SGD: dict[str, Any] = {
    "train.optimizer.learning_rate": {"type": "float", "low": 0.01, "high": 100.0, "log": True}
}


def test_a_worker_that_is_killed_while_confirming_is_replaced(
    swept: Study, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []

    def kill_once(number: int, go_on: bool) -> None:
        if not killed:
            killed.append(number)
            os.kill(pool._workers[0].process.pid, signal.SIGKILL)
        Pool.answer(pool, number, go_on)

    found = candidates(swept, PRESENT)
    monkeypatch.setattr(pool, "answer", kill_once)
    confirm(swept, pool, found)
    assert killed
    assert recall(swept, found).winner is not None


def test_the_winner_has_the_best_mean_and_not_the_best_single_figure(swept: Study) -> None:
    first = made_up("trial 3", [0.1, 0.6], [2, 2], trial=3, swept=0.1)
    second = made_up("trial 1", [0.3, 0.3], [2, 2], trial=1, swept=0.3)
    assert Confirmation([first, second], None, 0).winner == second


def test_an_unconfirmed_study_gives_its_best_trial_with_a_warning(swept: Study) -> None:
    chosen, why = choose(swept, PRESENT)
    assert chosen.name == "trial 3"
    assert "with one seed. It is not confirmed: python -m src.tune --study study" in why


def test_a_study_without_complete_trials_has_no_winner(begin: BeginStudy, pool: Pool) -> None:
    study = begin()
    with pytest.raises(UserError, match="study study: has no complete trial"):
        choose(study, PRESENT)
    with pytest.raises(UserError, match="study study: has no complete trial"):
        confirm(study, pool, candidates(study, PRESENT))


def words(study: Study, best: Confirmed, present: Confirmed | None) -> str:
    told = in_words(study, Confirmation([best], present, 0), wanted=5)
    return " ".join(told.split())


def test_the_verdict_says_how_optimistic_the_sweep_was(swept: Study) -> None:
    best = made_up("trial 3", [0.2, 0.3], [2] * 40, trial=3, swept=0.2)
    assert "too good by 0.0500 (20 % of the mean)" in words(swept, best, None)
    best = made_up("trial 3", [0.2, 0.1], [2] * 40, trial=3, swept=0.2)
    assert "not too good: worse by 0.0500" in words(swept, best, None)


def test_the_verdict_calls_more_than_chance_only_what_is(swept: Study) -> None:
    present = made_up("params.yaml", [0.4, 0.4], [2] * 30 + [0] * 10)
    best = made_up("trial 3", [0.2, 0.3], [2] * 40, trial=3, swept=0.2, batch_size=16)
    told = words(swept, best, present)
    assert "mean loss is 0.1500 lower, lower with 2 of 2 seeds" in told
    assert "reads 10 right more often and 0 less often: in accuracy that is better by" in told
    assert "more than chance (McNemar's p of these trainings 0.002" in told
    best = made_up("trial 3", [0.2, 0.6], [2] * 34 + [0] * 6, trial=3, swept=0.2, batch_size=16)
    told = words(swept, best, present)
    assert "lower with 1 of 2 seeds" in told
    assert "0 less often: in accuracy that is no more than chance" in told


def test_a_winner_that_is_worse_than_the_file_is_called_so(swept: Study) -> None:
    present = made_up("params.yaml", [0.1, 0.1], [2] * 40)
    best = made_up("trial 3", [0.2, 0.3], [2] * 20 + [0] * 20, trial=3, swept=0.2, batch_size=16)
    told = words(swept, best, present)
    assert "mean loss is 0.1500 higher, lower with 0 of 2 seeds" in told
    assert "worse by more than chance" in told


def test_an_incomplete_confirmation_names_no_winner(swept: Study) -> None:
    best = made_up("trial 3", [0.2, 0.3], [2] * 40, trial=3, swept=0.2)
    confirmation = Confirmation([best], None, missing=1)
    assert confirmation.winner is None
    assert in_words(swept, confirmation, wanted=5).endswith("the same command goes on.")


def test_a_winner_that_is_the_file_as_it_stands_is_called_so(swept: Study) -> None:
    same = made_up("trial 0", [0.4, 0.4], [2] * 40, trial=0, swept=0.4)
    told = words(swept, same, made_up("params.yaml", [0.4, 0.4], [2] * 40))
    assert told.endswith("These are the values of params.yaml: nothing better was found.")


def test_a_study_that_is_not_done_says_that_it_goes_on(swept: Study) -> None:
    told = in_words(swept, Confirmation([], None, 0), wanted=50)
    assert "6 of 50 trials finished (5 complete, 1 pruned), 0 failed; best val loss 0.2000" in told
    assert told.endswith("The same command goes on.")
