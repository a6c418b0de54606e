"""The results of a study: a table of trials, plots, and the metrics that compare studies."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as plots

from src.core.plots import save_figure
from src.core.progress import Ended
from src.core.tables import write_csv
from src.tune.confirm import Confirmation
from src.tune.study import Study

EVALUATOR = FanovaImportanceEvaluator(seed=0)
MIN_LOSSES = 4  # distinct losses below which plots and importances say nothing
PLOTS: dict[str, Callable[..., Any]] = {
    "history": plots.plot_optimization_history,
    "importances": partial(plots.plot_param_importances, evaluator=EVALUATOR),
    "parallel_coordinates": plots.plot_parallel_coordinate,
    "slice": plots.plot_slice,
}
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def table(study: Study) -> pd.DataFrame:
    """A row for each trial: state, validation loss in nats, duration, reason, and its values."""
    rows = pd.DataFrame([_row(trial) for trial in study.trials()])
    return rows.convert_dtypes()  # columns of integers with gaps stay integers


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


def ended_trials(study: Study) -> list[Ended]:
    """The trials that are complete, pruned or failed, by number; without tracebacks."""
    rows = [(trial, _row(trial)) for trial in study.trials() if trial.state.is_finished()]
    return [
        Ended(
            f"trial-{trial.number}",
            row["state"],
            trial.params,
            {"kept_val_loss": row["val_loss"]} if row["state"] == "complete" else {},
            reason=row["reason"],
        )
        for trial, row in rows
    ]


def importances(study: Study) -> dict[str, float]:
    """Each parameter's share, 0 to 1, of the variance of the complete trials' losses.

    By fANOVA (Hutter et al., 2014). Empty with fewer than MIN_LOSSES distinct losses.
    """
    if not _enough(study):
        return {}
    return get_param_importances(study.optuna, evaluator=EVALUATOR)


def _enough(study: Study) -> bool:
    complete = [trial for trial in study.trials() if trial.state == TrialState.COMPLETE]
    return len({trial.values[0] for trial in complete}) >= MIN_LOSSES


def write_report(study: Study, confirmation: Confirmation, csv: Path) -> list[Path]:
    """Write the table of trials to `csv`; plots and confirmation to the folder without suffix.

    Returns the files.
    """
    write_csv(table(study), csv)
    written = [csv]
    folder = csv.with_suffix("")
    for name, draw in PLOTS.items() if _enough(study) else ():
        written.append(folder / f"{name}.png")
        _draw(study, draw, written[-1])
    if confirmed := confirmation.confirmed:
        written.append(folder / "confirmation.csv")
        write_csv(pd.concat([one.table() for one in confirmed]), written[-1])
    return written


def metrics(study: Study, confirmation: Confirmation) -> dict[str, float]:
    """The metrics that MLflow shows for a study: counts, best trial, importances, means."""
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
            numbers |= {f"{name}_val_loss_mean": one.mean, f"{name}_val_loss_std": one.std}
    return numbers


def _draw(study: Study, plot: Callable[..., Any], path: Path) -> None:
    plt.switch_backend("agg")
    # Optuna warns that its plots are experimental; Matplotlib, that all values are equal.
    with warnings.catch_warnings(action="ignore"), plt.style.context("default"):
        plot(study.optuna, target_name="validation loss")
        figure = plt.gcf()
        figure.set_size_inches(3 + 2 * len(study.space.distributions), 5)
        if plot is plots.plot_slice:  # a tight layout would put its colour bar over a panel
            figure.subplots_adjust(bottom=0.2)
            for panel in figure.axes:
                panel.set_xlabel(panel.get_xlabel().replace(".", ".\n"))
        else:
            figure.set_layout_engine("tight")
        save_figure(figure, path)
        plt.close(figure)
