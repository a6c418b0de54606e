"""Describes in words how far a study is, and whether its winner beats the present parameters."""

import textwrap

from src.core.stats import ALPHA, mcnemar
from src.tune.confirm import Confirmation, Confirmed
from src.tune.study import Study


def describe(study: Study, confirmation: Confirmation, wanted: int) -> str:
    """How many of `wanted` trials are finished; once confirmed, how good the winner is."""
    tally = study.tally()
    best = f"{tally.best.values[0]:.4f} (trial {tally.best.number})" if tally.best else "none"
    lines = [
        f"study {study.name}: {tally.finished} of {wanted} trials finished ({tally.complete} "
        f"complete, {tally.pruned} pruned), {tally.failed} failed; best val loss {best}"
    ]
    winner, present = confirmation.winner, confirmation.present
    if not study.is_done(wanted):
        lines.append("Run the same command again to continue.")
    elif confirmation.missing:
        lines.append("The winner is not confirmed yet. Run the same command again to continue.")
    elif winner is None:
        lines.append("Every trial failed with at least one seed, so there is no winner.")
    else:
        lines += [*_comparison(confirmation), _optimism(winner)]
        if present:
            lines.append(_verdict(winner, present))
    return "\n".join(textwrap.fill(line, 100) if len(line) > 100 else line for line in lines)


def _comparison(confirmation: Confirmation) -> list[str]:
    lines = [f"{'':>12}  val loss, mean and sd  accuracy  in the sweep"]
    present = [confirmation.present] if confirmation.present else []
    for one in [*confirmation.trials, *present]:
        loss = one.candidate.sweep_loss
        lines.append(
            f"{one.candidate.name:>12}     {one.mean:.4f} +- {one.std:.4f}"
            f"  {100 * one.accuracy:6.2f} %  {'' if loss is None else f'{loss:.4f}':>12}"
        )
    return lines


def _optimism(best: Confirmed) -> str:
    assert best.candidate.sweep_loss is not None
    optimism = best.mean - best.candidate.sweep_loss
    direction = "below" if optimism > 0 else "above"
    return (
        f"{best.candidate.name} wins with the lowest mean loss. Its loss in the sweep, with one "
        f"seed, was {abs(optimism):.4f} ({100 * abs(optimism) / best.mean:.0f} %) {direction} that "
        "mean."
    )


def _verdict(best: Confirmed, present: Confirmed) -> str:
    if best.candidate.params.model == present.candidate.params.model and (
        best.candidate.params.train == present.candidate.params.train
    ):
        return "These are the present values of params.yaml: nothing better was found."
    gain = present.mean - best.mean
    lower = sum(a < b for a, b in zip(best.losses, present.losses, strict=True))
    better = int((best.times_correct > present.times_correct).sum())
    worse = int((best.times_correct < present.times_correct).sum())
    p = mcnemar(best.times_correct, present.times_correct)
    verdict = "not different by more than chance"
    if p < ALPHA:
        verdict = f"{'better' if better > worse else 'worse'} by more than chance"
    return (
        f"Compared with params.yaml, its mean loss is {abs(gain):.4f} "
        f"{'lower' if gain > 0 else 'higher'}, and its loss is lower with {lower} of "
        f"{len(best.losses)} seeds. Over these trainings, it predicts {better} validation images "
        f"correctly more often and {worse} less often: its accuracy is {verdict} (McNemar's test, "
        f"exact two-sided p-value {p:.2g})."
    )
