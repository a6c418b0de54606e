"""What a study came to: its table, its pictures, and the numbers by which studies are compared."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as pictures

from src.core.plots import save_figure
from src.core.tables import write_csv
from src.tune.confirm import Confirmation
from src.tune.study import Study

EVALUATOR = FanovaImportanceEvaluator(seed=0)
FEWEST = 4  # complete trials that tell anything of the parameters
PICTURES: dict[str, Callable[..., Any]] = {
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
    rows = pd.DataFrame([_row(trial) for trial in study.trials()])
    return rows.convert_dtypes()  # whole numbers stay whole where some are missing


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


def outcomes(study: Study) -> list[tuple[int, str, float | None, str, dict[str, Any]]]:
    """Number, state, validation loss, reason and drawn values of each trial that has ended."""
    return [
        (row["trial"], row["state"], row["val_loss"], row["reason"], trial.params)
        for trial, row in ((trial, _row(trial)) for trial in study.trials())
        if row["state"] in ("complete", "pruned", "failed")
    ]


def importances(study: Study) -> dict[str, float]:
    """Each parameter's share, 0 to 1, in the variance of the complete trials' losses.

    By fANOVA (Hutter et al., 2014); empty where the trials are too few to tell.
    """
    if not _enough(study):
        return {}
    return get_param_importances(study.optuna, evaluator=EVALUATOR)


def _enough(study: Study) -> bool:
    complete = [trial for trial in study.trials() if trial.state == TrialState.COMPLETE]
    return len({trial.values[0] for trial in complete}) >= FEWEST


def write_report(study: Study, confirmation: Confirmation, csv: Path) -> list[Path]:
    """The table of trials at `csv`, pictures and the confirmation in a folder beside it.

    Returns the files.
    """
    write_csv(table(study), csv)
    written = [csv]
    folder = csv.with_suffix("")
    for name, draw in PICTURES.items() if _enough(study) else ():
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


def _draw(study: Study, plot: Callable[..., Any], path: Path) -> None:
    plt.switch_backend("agg")
    # Optuna calls its pictures experimental, and Matplotlib those of equal values doubtful.
    with warnings.catch_warnings(action="ignore"), plt.style.context("default"):
        plot(study.optuna, target_name="validation loss")
        figure = plt.gcf()
        figure.set_size_inches(3 + 2 * len(study.space.distributions), 5)
        if plot is pictures.plot_slice:  # a layout would move its colour bar over a panel
            figure.subplots_adjust(bottom=0.2)
            for panel in figure.axes:
                panel.set_xlabel(panel.get_xlabel().replace(".", ".\n"))
        else:
            figure.set_layout_engine("tight")
        save_figure(figure, path)
        plt.close(figure)
