"""Make sure of a winner: the best trials and the present parameters, trained with several seeds."""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from optuna.trial import TrialState
from tqdm import tqdm

from src.config.params import Params
from src.core.errors import UserError
from src.core.progress import Epoch
from src.execution.messages import Failed, Finished, Job, Lost, Message
from src.execution.pool import Pool
from src.tune.study import TRIES, Study


@dataclass(frozen=True)
class Candidate:
    name: str
    params: Params
    trial: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)  # what the trial drew
    swept: float | None = None  # its validation loss in the sweep: of one seed, on one thread

    def jobs(self) -> dict[str, Job]:
        """What is to be trained, by the name under which the result is kept with the study.

        First with the seed by which the trial was found, as the train stage will train it; then
        with seeds that had no part in finding it.
        """
        params = self.params
        jobs = {}
        for offset in range(1 + params.tune.confirm.seeds):
            job = Job(params.model, params.train, (params.seed + offset) % 2**32)
            decides = [job.model.model_dump(), job.train.model_dump(), params.runtime.model_dump()]
            digest = hashlib.sha256(json.dumps([*decides, job.seed]).encode()).hexdigest()
            jobs[f"confirmed.{digest[:32]}"] = job
        return jobs


@dataclass(frozen=True)
class Confirmed:
    """A candidate trained with one seed after the other: its own, then the fresh ones."""

    candidate: Candidate
    all_losses: list[float]  # of validation
    all_accuracies: list[float]
    right: np.ndarray  # bool [seeds, images]: whether a training reads a validation image right

    # An own seed was chosen for its luck, so it is left out of what is compared.

    @property
    def losses(self) -> list[float]:
        """With the fresh seeds."""
        return self.all_losses[1:]

    @property
    def mean(self) -> float:
        return float(np.mean(self.losses))

    @property
    def deviation(self) -> float:
        """The standard deviation of the losses, as of a sample."""
        return float(np.std(self.losses, ddof=1))

    @property
    def accuracy(self) -> float:
        """The mean with the fresh seeds."""
        return float(np.mean(self.all_accuracies[1:]))

    @property
    def times_right(self) -> np.ndarray:
        """For each validation image, how many of the trainings with fresh seeds read it right."""
        times: np.ndarray = np.sum(self.right[1:], axis=0, dtype=int)
        return times

    def table(self) -> pd.DataFrame:
        """A row for each seed, the own one first."""
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
    """What is known of the candidates that gave a model with every seed."""

    trials: list[Confirmed]
    present: Confirmed | None  # the parameters as they are
    missing: int  # candidates that are not trained with every seed yet

    @property
    def winner(self) -> Confirmed | None:
        """The trial with the lowest mean loss, once all candidates are trained."""
        trials = [] if self.missing else self.trials
        return min(trials, key=lambda one: one.mean, default=None)


def candidates(study: Study, present: Params) -> list[Candidate]:
    """The best complete trials, the best first, and then the parameters as they are."""
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
    """The trial to take over, and on what grounds; UserError if no trial is complete."""
    found = candidates(study, present)
    _check_any(study, found)
    confirmation = recall(study, found)
    winner, beaten = confirmation.winner, confirmation.present
    if winner is None:
        return found[0], (
            f"{found[0].name}: val loss {found[0].swept:.4f} with one seed. It is not confirmed: "
            f"python -m src.tune --study {study.name} does that once all trials are finished"
        )
    why = (
        f"{winner.candidate.name}: val loss {winner.mean:.4f}, the lowest mean over "
        f"{len(winner.losses)} seeds (standard deviation {winner.deviation:.4f})"
    )
    if beaten and beaten.candidate.params != winner.candidate.params:
        better = winner.mean < beaten.mean
        why += f"; params.yaml as it was: {beaten.mean:.4f}" + (
            "" if better else ", so this is NO improvement"
        )
    return winner.candidate, why


def confirm(study: Study, pool: Pool, chosen: Sequence[Candidate]) -> None:
    """Train what has not been yet, and keep each result with the study at once.

    Raises UserError if there is no trial among the candidates.
    """
    _check_any(study, chosen)
    missing = {
        key: (candidate.name, job)
        for candidate in chosen
        for key, job in candidate.jobs().items()
        if study.recall(key) is None
    }
    keys = [*missing]
    todo, lost = [*range(len(keys))], Counter[int]()
    with tqdm(desc="confirm", total=len(keys), disable=not sys.stderr.isatty()) as bar:
        while todo or pool.busy:
            while todo and pool.free:
                number = todo.pop(0)
                pool.submit(number, missing[keys[number]][1])
            for number, message in pool.messages(timeout=1.0):
                match message:
                    case Epoch():
                        pool.answer(number, True)
                    case Lost(reason):
                        lost[number] += 1
                        if lost[number] == TRIES:
                            raise UserError(f"confirming a trial: {reason}, {TRIES} times")
                        todo.append(number)
                    case _:
                        name, job = missing[keys[number]]
                        result = _result(message)
                        study.keep(keys[number], result)
                        told = result.get("failed") or f"val loss {result['val_loss']:.4f}"
                        tqdm.write(f"confirm {name}, seed {job.seed}: {told}")
                        bar.update()


def _result(message: Message) -> dict[str, Any]:
    match message:
        case Finished(kept, correct):
            return {
                "val_loss": kept.val_loss,
                "val_accuracy": kept.val_accuracy,
                "correct": correct.hex(),
            }
        case Failed(reason):
            return {"failed": reason}
    raise AssertionError(message)


def _check_any(study: Study, chosen: Sequence[Candidate]) -> None:
    if all(candidate.trial is None for candidate in chosen):
        raise UserError(f"study {study.name}: has no complete trial, so there is no winner")


def recall(study: Study, chosen: Sequence[Candidate]) -> Confirmation:
    """What is known of the candidates, the last of which are the parameters as they are."""
    results = [[study.recall(key) for key in candidate.jobs()] for candidate in chosen]
    *trials, present = map(_confirmed, chosen, results)
    missing = sum(None in of_one for of_one in results)
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
