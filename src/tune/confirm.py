"""Confirms the winner: trains the best trials and the present parameters with several seeds."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from optuna.trial import TrialState

from src.config.params import Params
from src.config.sections import RuntimeConfig
from src.core.console import Progress
from src.core.errors import UserError
from src.core.machines import kinds
from src.execution.executor import Executor, Failed, Finished
from src.execution.scheduler import Batch, run
from src.training.jobs import Scratch
from src.tune.study import Study

VAL = "source.val"
NONE_SOUND = "each of the best trials failed with at least one seed, so there is no winner"


@dataclass(frozen=True)
class Candidate:
    """Parameters that may win: those of a trial, or the present ones."""

    name: str
    params: Params
    trial: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)  # the trial's, by dotted name
    sweep_loss: float | None = None  # the trial's validation loss in the sweep, in nats

    def jobs(self) -> dict[str, Scratch]:
        """The trainings of a confirmation, by the key under which the study stores their results.

        Their seeds are fresh: they had no influence on the choice of the trial. They run beside
        each other with one thread each, whatever `runtime.threads` is.
        """
        runtime = self.params.runtime.one_thread()
        seeds = range(1, 1 + self.params.tune.confirm.seeds)
        return dict(self._training(offset, runtime) for offset in seeds)

    def final_job(self) -> tuple[str, Scratch]:
        """The training with the seed of the file, as the train stage will do it, and its key."""
        return self._training(0, self.params.runtime)

    def _training(self, offset: int, runtime: RuntimeConfig) -> tuple[str, Scratch]:
        params = self.params
        job = Scratch(
            train=params.train,
            seed=(params.seed + offset) % 2**32,
            model=params.model,
            tests=(VAL,),
        )
        # Without defaults: results from before those values existed stay valid.
        sections = [
            section.model_dump(exclude_defaults=True) for section in (job.model, job.train, runtime)
        ]
        digest = hashlib.sha256(json.dumps([*sections, job.seed]).encode()).hexdigest()
        return f"confirmed.{digest[:32]}", job


@dataclass(frozen=True)
class Confirmed:
    """A candidate's results with every fresh seed.

    Comparisons use these alone: with the seed of the sweep, a trial may have won by luck.
    """

    candidate: Candidate
    losses: list[float]  # of validation, in nats
    accuracies: list[float]  # 0 to 1
    correct: np.ndarray  # bool [seeds, images]: validation images that are predicted correctly
    kinds: set[str]  # of the machines that trained them
    # With the seed of the file: what the train stage will log. Only the leader is trained so.
    final: Mapping[str, Any] | None = None

    @property
    def mean(self) -> float:
        """The mean of `losses`."""
        return float(np.mean(self.losses))

    @property
    def std(self) -> float:
        """The sample standard deviation of `losses`."""
        return float(np.std(self.losses, ddof=1))

    @property
    def accuracy(self) -> float:
        """The mean of `accuracies`."""
        return float(np.mean(self.accuracies))

    @property
    def times_correct(self) -> np.ndarray:
        """For each validation image, by how many seeds it is predicted correctly: int [N]."""
        times: np.ndarray = np.sum(self.correct, axis=0, dtype=int)
        return times

    def table(self) -> pd.DataFrame:
        """A row for each seed: candidate, seed, val_loss, val_accuracy."""
        seeds = [job.seed for job in self.candidate.jobs().values()]
        rows = [*zip(seeds, self.losses, self.accuracies, strict=True)]
        if self.final:
            numbers = self.final["val_loss"], self.final["val_accuracy"]
            rows.insert(0, (self.candidate.params.seed, *numbers))
        table = pd.DataFrame(rows, columns=["seed", "val_loss", "val_accuracy"])
        table.insert(0, "candidate", self.candidate.name)
        return table


@dataclass(frozen=True)
class Confirmation:
    """The results of the candidates that were trained with every fresh seed without failing."""

    trials: list[Confirmed]
    present: Confirmed | None  # the present parameters
    missing: int  # candidates with trainings still to do

    @property
    def confirmed(self) -> list[Confirmed]:
        """The trials, and then the present parameters."""
        return [*self.trials, *([self.present] if self.present else [])]

    @property
    def leader(self) -> Confirmed | None:
        """The trial with the lowest mean loss; None before all candidates are trained."""
        trials = [] if self.missing else self.trials
        return min(trials, key=lambda one: one.mean, default=None)

    @property
    def settled(self) -> bool:
        """Whether no training is left to do: neither of a candidate, nor the leader's last one."""
        return not self.missing and (self.leader is None or self.leader.final is not None)

    @property
    def winner(self) -> Confirmed | None:
        """The leader, once it has its last training: that may fail, and the next one win."""
        return self.leader if self.settled else None


def candidates(study: Study, present: Params) -> list[Candidate]:
    """The `confirm.top` best complete trials, best first, and then the present parameters."""
    complete = [trial for trial in study.trials() if trial.state == TrialState.COMPLETE]
    best: list[Candidate] = []
    for trial in sorted(complete, key=lambda trial: trial.values[0]):
        params = study.space.params(trial.params)
        if params not in [candidate.params for candidate in best]:
            best.append(
                Candidate(
                    f"trial {trial.number}", params, trial.number, trial.params, trial.values[0]
                )
            )
    return [*best[: present.tune.confirm.top], Candidate("params.yaml", present)]


def choose(study: Study, present: Params) -> tuple[Candidate, str]:
    """The trial to promote, and why it is chosen.

    Before one is confirmed: the leader, or else the best one that has not failed since. Raises
    UserError if no trial is complete, or if each of the best failed when it was confirmed.
    """
    found = candidates(study, present)
    _check_any(study, found)
    confirmation = load_confirmation(study, found)
    winner, baseline = confirmation.winner, confirmation.present
    if winner is None:
        best = confirmation.leader.candidate if confirmation.leader else _first_sound(study, found)
        return best, (
            f"{best.name}: val loss {best.sweep_loss:.4f} with one seed. It is not "
            f"confirmed: python -m src.tune --study {study.name} does that once all trials are "
            "finished"
        )
    why = (
        f"{winner.candidate.name}: val loss {winner.mean:.4f}, the lowest mean over "
        f"{len(winner.losses)} seeds (standard deviation {winner.std:.4f})"
    )
    if baseline and baseline.candidate.params != winner.candidate.params:
        better = winner.mean < baseline.mean
        why += f"; present params.yaml: {baseline.mean:.4f}" + (
            "" if better else ", so this is NO improvement"
        )
    return winner.candidate, why


def _first_sound(study: Study, chosen: Sequence[Candidate]) -> Candidate:
    """The first trial of which no training has failed so far."""
    for one in chosen:
        keys = [*one.jobs(), one.final_job()[0]]
        if one.trial is not None and not any(
            "failed" in (study.load_result(key) or {}) for key in keys
        ):
            return one
    raise UserError(
        f"study {study.name}: {NONE_SOUND}; a study with other ranges in tune.space may have one"
    )


def confirm(study: Study, executor: Executor, chosen: Sequence[Candidate]) -> None:
    """Run the trainings that are missing, and save each result with the study at once.

    A training that fails by a UserError, such as a diverged loss, has a result, too. Raises
    UserError if no candidate is a trial, or if MAX_TRIES workers die of one training.
    """
    _check_any(study, chosen)
    _train(study, executor, [(one, *job) for one in chosen for job in one.jobs().items()])


def train_leader(study: Study, executor: Executor, chosen: Sequence[Candidate]) -> None:
    """Train the leader as the train stage will, once all candidates are confirmed.

    If that fails, it cannot win, and the next one is trained. `executor` has the threads of the
    stage: another number of them changes the last digits.
    """
    while (leader := load_confirmation(study, chosen).leader) and not leader.final:
        _train(study, executor, [(leader.candidate, *leader.candidate.final_job())])


def _train(
    study: Study, executor: Executor, trainings: Sequence[tuple[Candidate, str, Scratch]]
) -> None:
    # By key: a trial with the present values shares its trainings with them.
    missing = {
        key: (f"{candidate.name}, seed {job.seed}", job)
        for candidate, key, job in trainings
        if study.load_result(key) is None
    }
    keys = {name: key for key, (name, _) in missing.items()}

    def keep(name: str, outcome: Finished | Failed) -> None:
        study.save_result(keys[name], _result(outcome))

    epochs = sum(job.train.epochs for _, job in missing.values())
    with Progress("confirm", keys, epochs) as progress:
        batch = Batch(dict(missing.values()), keep, [progress])
        run(executor, batch)
    for name, reason in batch.failed.items():
        if study.load_result(keys[name]) is None:
            raise UserError(f"confirming {name}: {reason}")


def _result(outcome: Finished | Failed) -> dict[str, Any]:
    """What the study stores of a training, as JSON."""
    if isinstance(outcome, Failed):
        return {"failed": outcome.reason}
    result = outcome.result  # unpacked once
    kept = result.fit.kept
    correct = np.packbits(result.predictions[VAL].correct.numpy())
    return {
        "val_loss": kept.val_loss,
        "val_accuracy": kept.val_accuracy,
        "correct": correct.tobytes().hex(),  # a bit per validation image
        "machine": dict(result.machine),
    }


def _check_any(study: Study, chosen: Sequence[Candidate]) -> None:
    if all(candidate.trial is None for candidate in chosen):
        raise UserError(f"study {study.name}: has no complete trial yet, so there is no winner")


def load_confirmation(study: Study, chosen: Sequence[Candidate]) -> Confirmation:
    """The saved results of the candidates. The last candidate must be the present parameters."""
    results = [[study.load_result(key) for key in candidate.jobs()] for candidate in chosen]
    finals = [study.load_result(candidate.final_job()[0]) for candidate in chosen]
    *trials, present = map(_confirmed, chosen, results, finals)
    missing = sum(None in seeds for seeds in results)
    return Confirmation([trial for trial in trials if trial], present, missing)


def _confirmed(candidate: Candidate, results: Sequence[Any], final: Any) -> Confirmed | None:
    """None if a training is missing or has failed."""
    if None in results or any("failed" in result for result in (*results, final or {})):
        return None
    return Confirmed(
        candidate,
        [result["val_loss"] for result in results],
        [result["val_accuracy"] for result in results],
        np.array(
            [np.unpackbits(np.frombuffer(bytes.fromhex(r["correct"]), np.uint8)) for r in results],
            dtype=bool,
        ),
        kinds(result.get("machine", {}) for result in results),
        final,
    )
