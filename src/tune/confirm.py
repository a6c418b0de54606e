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
from src.core.console import Progress
from src.core.errors import UserError
from src.execution.executor import Executor, Failed, Finished
from src.execution.scheduler import Batch, run
from src.training.jobs import Scratch
from src.tune.study import Study

VAL = "source.val"


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

        The first has the seed of the sweep, as the train stage will have it. The others have fresh
        seeds, which had no influence on the choice of the trial.
        """
        params = self.params
        jobs = {}
        for offset in range(1 + params.tune.confirm.seeds):
            job = Scratch(
                train=params.train,
                seed=(params.seed + offset) % 2**32,
                model=params.model,
                tests=(VAL,),
            )
            # Without defaults: results from before those values existed stay valid.
            sections = [
                section.model_dump(exclude_defaults=True)
                for section in (job.model, job.train, params.runtime)
            ]
            digest = hashlib.sha256(json.dumps([*sections, job.seed]).encode()).hexdigest()
            jobs[f"confirmed.{digest[:32]}"] = job
        return jobs


@dataclass(frozen=True)
class Confirmed:
    """A candidate's results with every seed: first the seed of the sweep, then the fresh ones.

    Comparisons use fresh seeds only: with the seed of the sweep, a trial may have won by luck.
    """

    candidate: Candidate
    all_losses: list[float]  # of validation, in nats
    all_accuracies: list[float]  # 0 to 1
    correct: np.ndarray  # bool [seeds, images]: validation images that are predicted correctly

    @property
    def losses(self) -> list[float]:
        """The validation losses with fresh seeds."""
        return self.all_losses[1:]

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
        """The mean accuracy with fresh seeds, 0 to 1."""
        return float(np.mean(self.all_accuracies[1:]))

    @property
    def times_correct(self) -> np.ndarray:
        """For each validation image, by how many fresh seeds it is predicted correctly: int [N]."""
        times: np.ndarray = np.sum(self.correct[1:], axis=0, dtype=int)
        return times

    def table(self) -> pd.DataFrame:
        """A row for each seed: candidate, seed, val_loss, val_accuracy."""
        return pd.DataFrame(
            {
                "candidate": self.candidate.name,
                "seed": [job.seed for job in self.candidate.jobs().values()],
                "val_loss": self.all_losses,
                "val_accuracy": self.all_accuracies,
            }
        )


@dataclass(frozen=True)
class Confirmation:
    """The results of the candidates that were trained with every seed without failing."""

    trials: list[Confirmed]
    present: Confirmed | None  # the present parameters
    missing: int  # candidates with trainings still to do

    @property
    def confirmed(self) -> list[Confirmed]:
        """The trials, and then the present parameters."""
        return [*self.trials, *([self.present] if self.present else [])]

    @property
    def winner(self) -> Confirmed | None:
        """The trial with the lowest mean loss; None before all candidates are trained."""
        trials = [] if self.missing else self.trials
        return min(trials, key=lambda one: one.mean, default=None)


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
    """The trial to promote, and why it is chosen; UserError if no trial is complete."""
    found = candidates(study, present)
    _check_any(study, found)
    confirmation = load_confirmation(study, found)
    winner, baseline = confirmation.winner, confirmation.present
    if winner is None:
        return found[0], (
            f"{found[0].name}: val loss {found[0].sweep_loss:.4f} with one seed. It is not "
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


def confirm(study: Study, executor: Executor, chosen: Sequence[Candidate]) -> None:
    """Run the trainings that are missing, and save each result with the study at once.

    A training that fails by a UserError, such as a diverged loss, has a result, too. Raises
    UserError if no candidate is a trial, or if MAX_TRIES workers die of one training.
    """
    _check_any(study, chosen)
    missing = {
        key: (f"{candidate.name}, seed {job.seed}", job)
        for candidate in chosen
        for key, job in candidate.jobs().items()
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
    kept = outcome.result.fit.kept
    correct = np.packbits(outcome.result.predictions[VAL].correct.numpy())
    return {
        "val_loss": kept.val_loss,
        "val_accuracy": kept.val_accuracy,
        "correct": correct.tobytes().hex(),  # a bit per validation image
    }


def _check_any(study: Study, chosen: Sequence[Candidate]) -> None:
    if all(candidate.trial is None for candidate in chosen):
        raise UserError(f"study {study.name}: has no complete trial yet, so there is no winner")


def load_confirmation(study: Study, chosen: Sequence[Candidate]) -> Confirmation:
    """The saved results of the candidates. The last candidate must be the present parameters."""
    results = [[study.load_result(key) for key in candidate.jobs()] for candidate in chosen]
    *trials, present = map(_confirmed, chosen, results)
    missing = sum(None in seeds for seeds in results)
    return Confirmation([trial for trial in trials if trial], present, missing)


def _confirmed(candidate: Candidate, results: Sequence[Any]) -> Confirmed | None:
    if any(result is None or "failed" in result for result in results):
        return None
    return Confirmed(
        candidate,
        [result["val_loss"] for result in results],
        [result["val_accuracy"] for result in results],
        np.array(
            [np.unpackbits(np.frombuffer(bytes.fromhex(r["correct"]), np.uint8)) for r in results],
            dtype=bool,
        ),
    )
