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

from src.config.whole import Params
from src.errors import UserError
from src.search.messages import Failed, Finished, Job, Lost, Message
from src.search.pool import Pool
from src.search.study import TRIES, Study
from src.training.reporting import Epoch


@dataclass(frozen=True)
class Candidate:
    name: str
    params: Params
    trial: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)  # what the trial drew
    swept: float | None = None  # its validation loss in the sweep: of one seed, on one thread

    def jobs(self) -> dict[str, Job]:
        """What is to be trained, by the name under which the result is kept with the study."""
        params = self.params
        jobs = {}
        for offset in range(params.tune.confirm.seeds):
            job = Job(params.model, params.train, (params.seed + offset) % 2**32)
            decides = [job.model.model_dump(), job.train.model_dump(), params.runtime.model_dump()]
            digest = hashlib.sha256(json.dumps([*decides, job.seed]).encode()).hexdigest()
            jobs[f"confirmed.{digest[:32]}"] = job
        return jobs


@dataclass(frozen=True)
class Confirmed:
    """A candidate trained with one seed after the other."""

    candidate: Candidate
    losses: list[float]  # of validation
    accuracies: list[float]
    times_right: np.ndarray  # for each validation image: how many of the trainings read it right

    @property
    def mean(self) -> float:
        return float(np.mean(self.losses))

    @property
    def deviation(self) -> float:
        """Of the losses, as of a sample."""
        return float(np.std(self.losses, ddof=1))

    def table(self) -> pd.DataFrame:
        """A row for each seed."""
        return pd.DataFrame(
            {
                "candidate": self.candidate.name,
                "seed": [job.seed for job in self.candidate.jobs().values()],
                "val_loss": self.losses,
                "val_accuracy": self.accuracies,
            }
        )


@dataclass(frozen=True)
class Confirmation:
    """What confirming came to: those candidates that gave a model with every seed."""

    trials: list[Confirmed]
    present: Confirmed | None  # the parameters as they are

    @property
    def winner(self) -> Confirmed | None:
        """The trial with the lowest mean loss."""
        return min(self.trials, key=lambda one: one.mean, default=None)


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
    winner = recall(study, found).winner
    if winner:
        seeds = len(winner.losses)
        return winner.candidate, (
            f"{winner.candidate.name}: val loss {winner.mean:.4f}, the lowest mean over {seeds} "
            f"seeds (standard deviation {winner.deviation:.4f})"
        )
    return found[0], (
        f"{found[0].name}: val loss {found[0].swept:.4f} with one seed. Not confirmed: "
        f"python -m src.tune --study {study.name} does that once all trials are finished"
    )


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
    *trials, present = (_recall(study, candidate) for candidate in chosen)
    return Confirmation([trial for trial in trials if trial], present)


def _recall(study: Study, candidate: Candidate) -> Confirmed | None:
    results = [study.recall(key) for key in candidate.jobs()]
    if any(result is None or "failed" in result for result in results):
        return None
    bits = [np.unpackbits(np.frombuffer(bytes.fromhex(r["correct"]), np.uint8)) for r in results]
    return Confirmed(
        candidate,
        [result["val_loss"] for result in results],
        [result["val_accuracy"] for result in results],
        np.sum(bits, axis=0, dtype=int),
    )
