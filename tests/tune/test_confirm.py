"""The confirmation of a winner: real trainings of trials with made-up losses."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.core.errors import UserError, trace
from src.core.progress import Epoch
from src.execution.executor import Executor, Failed, Finished, Outcome, WorkerError
from src.execution.local import Pool
from src.training.jobs import Job
from src.tune.confirm import (
    Candidate,
    Confirmation,
    Confirmed,
    candidates,
    choose,
    confirm,
    load_confirmation,
    train_leader,
)
from src.tune.study import Study
from src.tune.verdict import describe, in_numbers
from tests.conftest import shrunk
from tests.tune.conftest import BeginStudy

PRESENT = shrunk(tune__confirm={"top": 2, "seeds": 2})


@pytest.fixture
def study(begin: BeginStudy) -> Study:
    """A study in which trials 1 and 3 are best; 2 was pruned, and 4 has the values of 3."""
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


def made_up(name: str, losses: list[float], correct: list[int], **about: Any) -> Confirmed:
    """correct: for each image, by how many seeds it is predicted correctly."""
    params = shrunk(train__batch_size=about.pop("batch_size", 32))
    rows = [[n > row for n in correct] for row in range(len(losses))]
    candidate, accuracies = Candidate(name, params, **about), [0.9] * len(losses)
    final = {"val_loss": losses[0], "val_accuracy": 0.9}
    return Confirmed(candidate, losses, accuracies, np.array(rows), {"a kind"}, final)


def test_candidates_are_the_best_distinct_complete_trials_and_the_present_parameters(
    study: Study,
) -> None:
    found = candidates(study, PRESENT)
    assert [candidate.name for candidate in found] == ["trial 3", "trial 1", "params.yaml"]
    assert [candidate.params.train.batch_size for candidate in found] == [64, 16, 32]
    assert found[0].sweep_loss == 0.2
    assert found[-1].params == PRESENT


def test_a_candidate_is_trained_with_the_seeds_after_that_of_the_file() -> None:
    candidate = Candidate("params.yaml", shrunk(seed=2**32 - 1, tune__confirm__seeds=3))
    assert [job.seed for job in candidate.jobs().values()] == [0, 1, 2]
    key, job = candidate.final_job()
    assert job.seed == 2**32 - 1
    assert key not in candidate.jobs()


@pytest.mark.parametrize("key", ["train__epochs", "model__hidden", "runtime__portable", "seed"])
def test_the_key_of_a_result_depends_on_all_that_affects_the_result(key: str) -> None:
    value = {"model__hidden": [7], "runtime__portable": True}.get(key, 7)
    first = Candidate("a", shrunk()).jobs()
    assert not set(first) & set(Candidate("a", shrunk(**{key: value})).jobs())
    assert set(first) == set(Candidate("b", shrunk(finetune__epochs=9), trial=3).jobs())


def test_the_threads_of_the_stage_matter_to_its_last_training_alone() -> None:
    one, two = Candidate("a", shrunk()), Candidate("a", shrunk(runtime__threads=2))
    assert one.jobs() == two.jobs()
    assert one.final_job()[0] != two.final_job()[0]


def test_confirming_trains_each_candidate_once_per_seed(
    study: Study, executor: Executor, capsys: pytest.CaptureFixture[str]
) -> None:
    found = candidates(study, PRESENT)
    confirm(study, executor, found)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3 * 2
    assert printed[0].startswith("trial 3, seed 1     complete  val loss ")
    confirmation = load_confirmation(study, found)
    assert [one.candidate.name for one in confirmation.trials] == ["trial 3", "trial 1"]
    assert confirmation.present is not None
    leader = min(confirmation.trials, key=lambda one: one.mean)
    for one in confirmation.trials:
        assert len(set(one.losses)) == 2
        assert one.times_correct[:100].sum() == round(100 * 2 * one.accuracy)
    train_leader(study, executor, found)
    assert capsys.readouterr().out.startswith(f"{leader.candidate.name}, seed 0 ")
    confirmation = load_confirmation(study, found)
    assert confirmation.winner is not None
    assert confirmation.winner.candidate == leader.candidate
    tables = [one.table() for one in confirmation.confirmed]
    assert [table["seed"].to_list() for table in tables].count([0, 1, 2]) == 1
    confirm(study, executor, found)
    train_leader(study, executor, found)
    assert capsys.readouterr().out == ""


def test_a_trial_with_the_present_values_is_trained_once_for_both(
    study: Study, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted, submit = list[str](), executor.submit

    def count(name: str, job: Job) -> None:
        submitted.append(name)
        submit(name, job)

    monkeypatch.setattr(executor, "submit", count)
    present = shrunk(train__batch_size=64, tune__confirm={"top": 1, "seeds": 2})
    found = candidates(study, present)
    confirm(study, executor, found)
    assert len(submitted) == 2
    confirmation = load_confirmation(study, found)
    assert confirmation.present is not None
    assert [one.losses for one in confirmation.trials] == [confirmation.present.losses]


@pytest.fixture
def confirmed(study: Study) -> list[Candidate]:
    """The candidates, trained with all fresh seeds; trial 1 is better than trial 3."""
    found = candidates(study, PRESENT)
    for loss, candidate in zip((0.3, 0.2, 0.1), found, strict=True):
        for key in candidate.jobs():
            study.save_result(key, result(loss))
    return found


def result(loss: float) -> dict[str, Any]:
    return {"val_loss": loss, "val_accuracy": 0.9, "correct": "00"}


def test_there_is_no_winner_before_it_is_trained_with_the_seed_of_the_file(
    study: Study, confirmed: list[Candidate]
) -> None:
    confirmation = load_confirmation(study, confirmed)
    assert confirmation.leader is not None
    assert confirmation.leader.candidate == confirmed[1]
    assert in_numbers(confirmation)["winner"] is None
    assert describe(study, confirmation, wanted=5).endswith(
        "The winner is not confirmed yet. Run the same command again to continue."
    )
    chosen, why = choose(study, PRESENT)
    assert chosen == confirmed[1]
    assert "It is not confirmed: python -m src.tune" in why
    study.save_result(confirmed[1].final_job()[0], result(0.5))
    confirmation = load_confirmation(study, confirmed)
    assert in_numbers(confirmation)["winner"] == "trial 1"
    assert "trial 1 wins with the lowest mean loss" in describe(study, confirmation, wanted=5)
    chosen, why = choose(study, PRESENT)
    assert chosen == confirmed[1]
    assert "the lowest mean over 2 seeds" in why


def test_a_candidate_that_fails_with_the_seed_of_the_file_cannot_win(
    study: Study, confirmed: list[Candidate]
) -> None:
    study.save_result(confirmed[1].final_job()[0], {"failed": "the loss became nan"})
    confirmation = load_confirmation(study, confirmed)
    assert confirmation.leader is not None
    assert confirmation.leader.candidate == confirmed[0]
    assert not confirmation.settled
    study.save_result(confirmed[0].final_job()[0], {"failed": "the loss became nan"})
    confirmation = load_confirmation(study, confirmed)
    assert confirmation.settled
    assert confirmation.winner is None
    with pytest.raises(UserError, match="each of the best trials failed"):
        choose(study, PRESENT)


def test_a_trial_that_has_failed_is_not_promoted_before_the_others_are_confirmed(
    study: Study,
) -> None:
    found = candidates(study, PRESENT)
    assert choose(study, PRESENT)[0] == found[0]
    study.save_result(next(iter(found[0].jobs())), {"failed": "the loss became nan"})
    assert choose(study, PRESENT)[0] == found[1]


def test_a_candidate_that_fails_with_a_seed_cannot_win(
    begin: BeginStudy, executor: Executor
) -> None:
    study = begin(values={"train.optimizer.name": "sgd"}, space=SGD)
    for rate in (0.01, 100.0):
        study.optuna.enqueue_trial({"train.optimizer.learning_rate": rate})
        number = study.claim(10)
        assert number is not None
        study.complete(number, 1 / rate)
    present = shrunk(train__optimizer__name="sgd", tune__confirm={"top": 2, "seeds": 2})
    found = candidates(study, present)
    confirm(study, executor, found)
    assert [candidate.name for candidate in found][:2] == ["trial 1", "trial 0"]
    leader = load_confirmation(study, found).leader
    assert leader is not None
    assert leader.candidate.name == "trial 0"


SGD: dict[str, Any] = {
    "train.optimizer.learning_rate": {"type": "float", "low": 0.01, "high": 100.0, "log": True}
}


def test_a_worker_that_is_killed_while_confirming_is_replaced(
    study: Study, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(executor, Pool)
    pool, killed = executor, list[str]()

    def kill_once(name: str, proceed: bool) -> None:
        if not killed:
            killed.append(name)
            os.kill(pool._workers[0].process.pid, signal.SIGKILL)
        Pool.answer(pool, name, proceed)

    found = candidates(study, PRESENT)
    monkeypatch.setattr(pool, "answer", kill_once)
    confirm(study, pool, found)
    assert killed
    assert load_confirmation(study, found).leader is not None


def test_a_bug_ends_a_confirmation_with_its_traceback(
    study: Study, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(timeout: float) -> Iterator[tuple[str, Epoch | Outcome]]:
        assert isinstance(executor, Pool)
        for name, message in Pool.messages(executor, timeout):
            bug = Failed("KeyError: 'x'", "the traceback")
            yield name, bug if isinstance(message, Finished) else message

    monkeypatch.setattr(executor, "messages", broken)
    found = candidates(study, PRESENT)[:1]
    with pytest.raises(WorkerError, match="trial 3, seed 1: KeyError: 'x'") as caught:
        confirm(study, executor, found)
    assert "in a worker process:\nthe traceback" in trace(caught.value)
    assert all(study.load_result(key) is None for key in found[0].jobs())


def test_the_winner_has_the_best_mean_not_the_best_single_loss(study: Study) -> None:
    first = made_up("trial 3", [0.1, 0.6], [2, 2], trial=3, sweep_loss=0.1)
    second = made_up("trial 1", [0.3, 0.3], [2, 2], trial=1, sweep_loss=0.3)
    assert Confirmation([first, second], None, 0).winner == second


def test_an_unconfirmed_study_gives_its_best_trial_with_a_warning(study: Study) -> None:
    chosen, why = choose(study, PRESENT)
    assert chosen.name == "trial 3"
    assert "with one seed. It is not confirmed: python -m src.tune --study study" in why


def test_a_study_without_complete_trials_has_no_winner(
    begin: BeginStudy, executor: Executor
) -> None:
    study = begin()
    with pytest.raises(UserError, match="study study: has no complete trial"):
        choose(study, PRESENT)
    with pytest.raises(UserError, match="study study: has no complete trial"):
        confirm(study, executor, candidates(study, PRESENT))


def summary(study: Study, best: Confirmed, present: Confirmed | None) -> str:
    printed = describe(study, Confirmation([best], present, 0), wanted=5)
    return " ".join(printed.split())


def test_the_summary_says_if_machines_of_several_kinds_confirmed(study: Study) -> None:
    best = made_up("trial 3", [0.2, 0.3], [2] * 40, trial=3, sweep_loss=0.2)
    present = replace(made_up("params.yaml", [0.4, 0.4], [2] * 40), kinds={"another"})
    assert "several kinds" not in summary(study, best, None)
    told = "They were trained on machines of several kinds (a kind; another), whose results differ"
    assert told in summary(study, best, present)


def test_the_summary_compares_the_loss_in_the_sweep_with_the_mean(study: Study) -> None:
    best = made_up("trial 3", [0.2, 0.3], [2] * 40, trial=3, sweep_loss=0.2)
    assert "with one seed, was 0.0500 (20 %) below that mean" in summary(study, best, None)
    best = made_up("trial 3", [0.2, 0.1], [2] * 40, trial=3, sweep_loss=0.2)
    assert "was 0.0500 (33 %) above that mean" in summary(study, best, None)


def test_only_a_significant_difference_is_called_better(study: Study) -> None:
    present = made_up("params.yaml", [0.4, 0.4], [2] * 30 + [0] * 10)
    best = made_up("trial 3", [0.2, 0.3], [2] * 40, trial=3, sweep_loss=0.2, batch_size=16)
    printed = summary(study, best, present)
    assert "mean loss is 0.1500 lower, and its loss is lower with 2 of 2 seeds" in printed
    assert "predicts 10 validation images correctly more often and 0 less often" in printed
    assert (
        "its accuracy is better by more than chance (McNemar's test, exact two-sided p-value 0.002"
        in printed
    )
    best = made_up(
        "trial 3", [0.2, 0.6], [2] * 34 + [0] * 6, trial=3, sweep_loss=0.2, batch_size=16
    )
    printed = summary(study, best, present)
    assert "lower with 1 of 2 seeds" in printed
    assert "0 less often: its accuracy is not different by more than chance" in printed


def test_a_winner_that_is_worse_than_the_present_parameters_is_called_worse(study: Study) -> None:
    present = made_up("params.yaml", [0.1, 0.1], [2] * 40)
    best = made_up(
        "trial 3", [0.2, 0.3], [2] * 20 + [0] * 20, trial=3, sweep_loss=0.2, batch_size=16
    )
    printed = summary(study, best, present)
    assert "mean loss is 0.1500 higher, and its loss is lower with 0 of 2 seeds" in printed
    assert "worse by more than chance" in printed


def test_an_incomplete_confirmation_has_no_winner(study: Study) -> None:
    best = made_up("trial 3", [0.2, 0.3], [2] * 40, trial=3, sweep_loss=0.2)
    confirmation = Confirmation([best], None, missing=1)
    assert confirmation.winner is None
    assert describe(study, confirmation, wanted=5).endswith(
        "Run the same command again to continue."
    )


def test_a_winner_with_the_present_values_is_no_improvement(study: Study) -> None:
    same = made_up("trial 0", [0.4, 0.4], [2] * 40, trial=0, sweep_loss=0.4)
    printed = summary(study, same, made_up("params.yaml", [0.4, 0.4], [2] * 40))
    assert printed.endswith(
        "These are the present values of params.yaml: nothing better was found."
    )


def test_the_summary_of_an_unfinished_study_says_how_to_continue(study: Study) -> None:
    printed = describe(study, Confirmation([], None, 0), wanted=50)
    assert (
        "6 of 50 trials finished (5 complete, 1 pruned), 0 failed; best val loss 0.2000" in printed
    )
    assert printed.endswith("Run the same command again to continue.")
