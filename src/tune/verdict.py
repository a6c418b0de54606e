"""In words: how far a study is, and whether its winner is one."""

import textwrap

from src.core.stats import mcnemar
from src.tune.confirm import Confirmation, Confirmed
from src.tune.study import Study

SIGNIFICANT = 0.05  # a chance below it is called more than chance


def in_words(study: Study, confirmation: Confirmation, wanted: int) -> str:
    """How far the study is; once it is confirmed, what is to be thought of its winner."""
    tally = study.tally()
    best = f"{tally.best.values[0]:.4f} (trial {tally.best.number})" if tally.best else "none"
    lines = [
        f"study {study.name}: {tally.finished} of {wanted} trials finished ({tally.complete} "
        f"complete, {tally.pruned} pruned), {tally.failed} failed; best val loss {best}"
    ]
    winner, present = confirmation.winner, confirmation.present
    if not study.is_done(wanted):
        lines.append("The same command goes on.")
    elif confirmation.missing:
        lines.append("The winner is not confirmed yet: the same command goes on.")
    elif winner is None:
        lines.append("No candidate gave a model with every seed, so there is no winner.")
    else:
        lines += [*_comparison(confirmation), _optimism(winner)]
        if present:
            lines.append(_verdict(winner, present))
    return "\n".join(textwrap.fill(line, 100) if len(line) > 100 else line for line in lines)


def _comparison(confirmation: Confirmation) -> list[str]:
    lines = [f"{'':>12}  val loss, mean and sd  accuracy  in the sweep"]
    present = [confirmation.present] if confirmation.present else []
    for one in [*confirmation.trials, *present]:
        swept = "" if one.candidate.swept is None else f"{one.candidate.swept:.4f}"
        lines.append(
            f"{one.candidate.name:>12}     {one.mean:.4f} +- {one.deviation:.4f}"
            f"  {100 * one.accuracy:6.2f} %  {swept:>12}"
        )
    return lines


def _optimism(best: Confirmed) -> str:
    swept = best.candidate.swept
    assert swept is not None
    optimism = best.mean - swept
    how = "too good by" if optimism > 0 else "not too good: worse by"
    return (
        f"The winner by its mean is {best.candidate.name}. Its single figure in the sweep was "
        f"{how} {abs(optimism):.4f} ({100 * abs(optimism) / best.mean:.0f} % of the mean)."
    )


def _verdict(best: Confirmed, present: Confirmed) -> str:
    if best.candidate.params.model == present.candidate.params.model and (
        best.candidate.params.train == present.candidate.params.train
    ):
        return "These are the values of params.yaml: nothing better was found."
    gain = present.mean - best.mean
    lower = sum(a < b for a, b in zip(best.losses, present.losses, strict=True))
    better = int((best.times_right > present.times_right).sum())
    worse = int((best.times_right < present.times_right).sum())
    chance = mcnemar(best.times_right, present.times_right)
    verdict = "no more than chance"
    if chance < SIGNIFICANT:
        verdict = f"{'better' if better > worse else 'worse'} by more than chance"
    return (
        f"Against params.yaml: its mean loss is {abs(gain):.4f} "
        f"{'lower' if gain > 0 else 'higher'}, lower with {lower} of {len(best.losses)} seeds. Of "
        f"the validation images it reads {better} right more often and {worse} less often: in "
        f"accuracy that is {verdict} (McNemar's p of these trainings {chance:.2g})."
    )
