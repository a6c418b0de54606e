"""What a study came to: its table, its pictures, and in words whether the winner is one."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import optuna
import pandas as pd
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as pictures

from src.drawing import save_figure
from src.files import write_csv
from src.search.confirm import Confirmation, Confirmed
from src.search.study import Study
from src.significance import mcnemar

SIGNIFICANT = 0.05  # a chance below it is called more than chance
EVALUATOR = FanovaImportanceEvaluator(seed=0)
FEWEST = 4  # complete trials that tell anything of the parameters
PICTURES: dict[str, Callable[[optuna.Study], Any]] = {
    "history": pictures.plot_optimization_history,
    "importances": partial(pictures.plot_param_importances, evaluator=EVALUATOR),
    "parallel_coordinates": pictures.plot_parallel_coordinate,
    "slice": pictures.plot_slice,
}
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def table(study: Study) -> pd.DataFrame:
    """A row for each trial: how it ended, its validation loss, and the values it drew."""
    return pd.DataFrame([_row(trial) for trial in study.trials()])


def _row(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "state": STATES[trial.state],
        "val_loss": trial.values[0] if trial.state == TrialState.COMPLETE else None,
        "epochs": len(trial.intermediate_values),
        "seconds": trial.duration.total_seconds() if trial.duration else None,
        "reason": trial.user_attrs.get("reason", ""),
        "retry_of": trial.user_attrs.get("retry_of"),
        **trial.params,
    }


def outcomes(study: Study) -> list[tuple[int, str, float | None, str]]:
    """Number, state, validation loss and reason of each trial that has ended."""
    return [
        (row["trial"], row["state"], row["val_loss"], row["reason"])
        for row in map(_row, study.trials())
        if row["state"] in ("complete", "pruned", "failed")
    ]


def importances(study: Study) -> dict[str, float]:
    """Each parameter's share, 0 to 1, in the variance of the complete trials' losses.

    By fANOVA (Hutter et al., 2014); empty where the trials are too few to tell.
    """
    complete = [trial for trial in study.trials() if trial.state == TrialState.COMPLETE]
    if len({trial.values[0] for trial in complete}) < FEWEST:
        return {}
    return get_param_importances(study.optuna, evaluator=EVALUATOR)


def write_report(study: Study, confirmation: Confirmation, csv: Path) -> list[Path]:
    """The table of trials at `csv`, pictures and the confirmation in a folder beside it.

    Returns the files.
    """
    write_csv(table(study), csv)
    written = [csv]
    folder = csv.with_suffix("")
    for name, draw in PICTURES.items() if importances(study) else ():
        written.append(folder / f"{name}.png")
        _draw(study, draw, written[-1])
    if confirmed := [
        *confirmation.trials,
        *([confirmation.present] if confirmation.present else []),
    ]:
        written.append(folder / "confirmation.csv")
        write_csv(pd.concat([one.table() for one in confirmed]), written[-1])
    return written


def metrics(study: Study, confirmation: Confirmation) -> dict[str, float]:
    """The numbers by which studies are compared."""
    tally = study.tally()
    numbers: dict[str, float] = {
        "trials_complete": tally.complete,
        "trials_pruned": tally.pruned,
        "trials_failed": tally.failed,
        **{f"importance.{name}": share for name, share in importances(study).items()},
    }
    if tally.best:
        numbers |= {"best_trial": tally.best.number, "best_val_loss": tally.best.values[0]}
    for name, one in (("winner", confirmation.winner), ("present", confirmation.present)):
        if one:
            numbers |= {f"{name}_val_loss_mean": one.mean, f"{name}_val_loss_std": one.deviation}
    return numbers


def _draw(study: Study, plot: Callable[[optuna.Study], Any], path: Path) -> None:
    plt.switch_backend("agg")
    # Optuna calls its pictures experimental, and Matplotlib those of equal values doubtful.
    with warnings.catch_warnings(action="ignore"), plt.style.context("default"):
        plot(study.optuna)
        figure = plt.gcf()
        figure.set_size_inches(3 + 1.5 * len(study.space.distributions), 5)
        figure.set_layout_engine("tight")
        save_figure(figure, path)
        plt.close(figure)


def in_words(study: Study, confirmation: Confirmation, wanted: int) -> str:
    """How far the study is; once it is confirmed, what is to be thought of its winner."""
    tally = study.tally()
    best = f"{tally.best.values[0]:.4f} (trial {tally.best.number})" if tally.best else "none"
    lines = [
        f"study {study.name}: {tally.finished} of {wanted} trials finished ({tally.complete} "
        f"complete, {tally.pruned} pruned), {tally.failed} failed; best val loss {best}"
    ]
    winner, present = confirmation.winner, confirmation.present
    if tally.finished < wanted:
        lines.append("The same command goes on.")
    elif winner:
        lines += [*_comparison(confirmation), _optimism(winner)]
        if present:
            lines.append(_verdict(winner, present))
    return "\n".join(lines)


def _comparison(confirmation: Confirmation) -> list[str]:
    lines = [f"{'':>12}  val loss over seeds  accuracy  in the sweep"]
    present = [confirmation.present] if confirmation.present else []
    for one in [*confirmation.trials, *present]:
        swept = "" if one.candidate.swept is None else f"{one.candidate.swept:.4f}"
        lines.append(
            f"{one.candidate.name:>12}   {one.mean:.4f} +- {one.deviation:.4f}"
            f"  {100 * np.mean(one.accuracies):6.2f} %  {swept:>12}"
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
    verdict = "more than chance" if chance < SIGNIFICANT else "no more than chance"
    return (
        f"Against params.yaml: its mean loss is {abs(gain):.4f} "
        f"{'lower' if gain > 0 else 'higher'}, lower with {lower} of {len(best.losses)} seeds. Of "
        f"the validation images it reads {better} right more often and {worse} less often: "
        f"{verdict} (McNemar p = {chance:.2g})."
    )
