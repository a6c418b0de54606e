"""The result of a study, in words and in numbers: does its winner beat the present parameters?"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from src.core.machines import on_several
from src.core.stats import ALPHA, mcnemar, student
from src.tune.confirm import NONE_SOUND, Confirmation, Confirmed
from src.tune.study import Study

AGAIN = "Run the same command again to continue."


@dataclass(frozen=True)
class Verdict:
    """A winner against the present parameters, with the fresh seeds.

    gain: the mean loss of the present ones less that of the winner, with its 95 % interval over the
    seeds, in nats. better, worse: validation images that the winner predicts correctly more often,
    or less often; p: exact two-sided p-value of this difference, 0 to 1. The winner was chosen by
    the same trainings, so all of it favours the winner a little.
    """

    gain: float
    gain_lo: float
    gain_hi: float
    seeds: int
    seeds_lower: int  # with which the winner's loss is lower
    better: int
    worse: int
    p: float


def describe(study: Study, confirmation: Confirmation, wanted: int, *, advise: bool = True) -> str:
    """How many of `wanted` trials are finished; once confirmed, how good the winner is.

    advise: say how to go on with a study that is not done.
    """
    tally = study.tally()
    best = f"{tally.best.values[0]:.4f} (trial {tally.best.number})" if tally.best else "none"
    lines = [
        f"study {study.name}: {tally.finished} of {wanted} trials finished ({tally.complete} "
        f"complete, {tally.pruned} pruned), {tally.failed} failed; best val loss {best}"
    ]
    if not study.is_done(wanted):
        lines += [AGAIN] if advise else []
    elif not confirmation.settled:
        lines.append("The winner is not confirmed yet." + (f" {AGAIN}" if advise else ""))
    elif confirmation.winner is None:
        lines.append(f"{NONE_SOUND.capitalize()}.")
    else:
        lines += [
            *_candidates(confirmation),
            *_kinds(confirmation),
            _optimism(confirmation.winner),
            *_outcome(confirmation),
        ]
    return "\n".join(lines)


def in_numbers(confirmation: Confirmation) -> dict[str, object]:
    """The candidates with the means of their fresh seeds, the winner's name, and the verdict."""
    verdict = _verdict(confirmation)
    return {
        "candidates": [_numbers(one) for one in confirmation.confirmed],
        "winner": confirmation.winner and confirmation.winner.candidate.name,
        "verdict": verdict and asdict(verdict),
    }


def means(confirmation: Confirmation) -> pd.DataFrame:
    """A row per candidate, over its fresh seeds; without its values."""
    rows = pd.DataFrame([_numbers(one) for one in confirmation.confirmed])
    return rows.drop(columns="values")


def _numbers(one: Confirmed) -> dict[str, object]:
    low, high = student(one.losses)
    return {
        "name": one.candidate.name,
        "values": dict(one.candidate.values),
        "sweep_loss": one.candidate.sweep_loss,
        "seeds": len(one.losses),
        "val_loss": one.mean,
        "val_loss_lo": low,
        "val_loss_hi": high,
        "val_loss_std": one.std,
        "accuracy": one.accuracy,
    }


def _candidates(confirmation: Confirmation) -> Iterator[str]:
    """A line each: means over the fresh seeds."""
    for one in confirmation.confirmed:
        loss = one.candidate.sweep_loss
        fields = [
            f"{one.candidate.name:>11}",
            f"val loss {one.mean:.4f} (sd {one.std:.4f})",
            f"accuracy {one.accuracy:.2%}",
            *([] if loss is None else [f"in the sweep {loss:.4f}"]),
        ]
        yield "  ".join(fields)


def _kinds(confirmation: Confirmation) -> Iterator[str]:
    """A line if the trainings ran on machines of several kinds."""
    found = {kind for one in confirmation.confirmed for kind in one.kinds}
    if len(found) > 1:
        yield f"They were trained {on_several(found)}."


def _optimism(best: Confirmed) -> str:
    assert best.candidate.sweep_loss is not None
    optimism = best.mean - best.candidate.sweep_loss
    direction = "below" if optimism > 0 else "above"
    return (
        f"{best.candidate.name} wins with the lowest mean loss. Its loss in the sweep, with one "
        f"seed, was {abs(optimism):.4f} ({100 * abs(optimism) / best.mean:.0f} %) {direction} that "
        "mean."
    )


def _verdict(confirmation: Confirmation) -> Verdict | None:
    """None without a winner, without the present parameters, or if they are the same."""
    best, present = confirmation.winner, confirmation.present
    if not best or not present or _trains_the_same(best, present):
        return None
    gains = np.subtract(present.losses, best.losses)
    low, high = student(gains)
    return Verdict(
        gain=present.mean - best.mean,
        gain_lo=low,
        gain_hi=high,
        seeds=len(gains),
        seeds_lower=int((gains > 0).sum()),
        better=int((best.times_correct > present.times_correct).sum()),
        worse=int((best.times_correct < present.times_correct).sum()),
        p=mcnemar(best.times_correct, present.times_correct),
    )


def _trains_the_same(one: Confirmed, other: Confirmed) -> bool:
    first, second = one.candidate.params, other.candidate.params
    return (first.model, first.train) == (second.model, second.train)


def _outcome(confirmation: Confirmation) -> list[str]:
    if not confirmation.present:
        return []
    found = _verdict(confirmation)
    if not found:
        return ["These are the present values of params.yaml: nothing better was found."]
    verdict = "not different by more than chance"
    if found.p < ALPHA:
        verdict = f"{'better' if found.better > found.worse else 'worse'} by more than chance"
    return [
        f"Compared with params.yaml, its mean loss is {abs(found.gain):.4f} "
        f"{'lower' if found.gain > 0 else 'higher'}, and its loss is lower with "
        f"{found.seeds_lower} of {found.seeds} seeds. Over these trainings, it predicts "
        f"{found.better} validation images correctly more often and {found.worse} less often: its "
        f"accuracy is {verdict} (McNemar's test, exact two-sided p-value {found.p:.2g}). The "
        "winner was chosen by the same trainings, which favours it a little."
    ]
