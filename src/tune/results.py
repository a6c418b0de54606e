"""The results of a study: a table of trials, plots, and the metrics that compare studies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from optuna.distributions import CategoricalDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from src.core.plots import blank, save_figure
from src.core.progress import Ended
from src.core.tables import write_csv
from src.pages.studies import TRIAL
from src.tune.confirm import Confirmation
from src.tune.study import Study
from src.tune.verdict import means

EVALUATOR = FanovaImportanceEvaluator(seed=0)
MIN_LOSSES = 4  # distinct losses below which plots and importances say nothing
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def table(study: Study) -> pd.DataFrame:
    """A row for each trial: state, validation loss in nats, duration, reason, and its values."""
    rows = pd.DataFrame(
        [_row(trial) for trial in study.trials()], columns=[*TRIAL, *study.space.distributions]
    )
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
            machine=trial.user_attrs.get("machine", {}),
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
    return len({trial.values[0] for trial in _complete(study)}) >= MIN_LOSSES


def _complete(study: Study) -> list[FrozenTrial]:
    return [trial for trial in study.trials() if trial.state == TrialState.COMPLETE]


def write_report(study: Study, confirmation: Confirmation, csv: Path) -> list[Path]:
    """Write the table of trials to `csv`; plots and confirmation to the folder without suffix.

    Returns the files.
    """
    write_csv(table(study), csv)
    written = [csv]
    folder = csv.with_suffix("")
    for name, figure in draw(study).items():
        written.append(folder / name)
        save_figure(figure, written[-1])
    if confirmed := confirmation.confirmed:
        written.append(folder / "confirmation.csv")
        write_csv(pd.concat([one.table() for one in confirmed]), written[-1])
        written.append(folder / "candidates.csv")
        write_csv(means(confirmation), written[-1])
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


def draw(study: Study) -> dict[str, Figure]:
    """Pictures by file name; none with fewer than MIN_LOSSES distinct losses."""
    if not _enough(study):
        return {}
    complete = _complete(study)
    return {
        "history.svg": _history(complete),
        "importances.svg": _importances(importances(study)),
        "slice.svg": _slices(study, complete),
    }


def _history(complete: Sequence[FrozenTrial]) -> Figure:
    """Losses in the order of the trials, and the best until then."""
    losses = pd.Series({trial.number: trial.values[0] for trial in complete}).sort_index()
    figure = blank(7, 3.4, f"Validation loss by trial; the best is {losses.min():.4f}")
    axes = figure.subplots()
    axes.plot(losses.index, losses, "o", markersize=4, label="complete trial")
    axes.step(losses.index, losses.cummin(), where="post", color="C1", label="best so far")
    axes.set(title="validation loss of complete trials", xlabel="trial", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return figure


def _importances(shares: dict[str, float]) -> Figure:
    """The share of each parameter in the variance of the losses, the largest on top."""
    largest = max(shares, key=lambda name: shares[name])
    alt = f"Importance of each parameter; the largest is {shares[largest]:.0%}, {largest}"
    figure = blank(7, 0.35 * len(shares) + 0.9, alt)
    axes = figure.subplots()
    bars = axes.barh([*shares], [*shares.values()], height=0.6)
    axes.bar_label(bars, [f"{share:.0%}" for share in shares.values()], padding=3)
    axes.set_title("share of the variance of the losses (fANOVA)")
    axes.margins(x=0.1)
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    return figure


def _slices(study: Study, complete: Sequence[FrozenTrial]) -> Figure:
    """Loss by the values of each parameter, a panel each."""
    spaces = study.space.distributions
    columns = min(3, len(spaces))
    rows = -(-len(spaces) // columns)
    alt = f"Validation loss by each value that varied: {', '.join(spaces)}"
    figure = blank(3 * columns, 2.4 * rows + 0.4, alt)
    figure.suptitle("validation loss by value; early trials are orange, late ones blue")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for name, space, axes in zip([*spaces], spaces.values(), panels.flat, strict=False):
        values = [trial.params[name] for trial in complete]
        if isinstance(space, CategoricalDistribution):
            values = [space.choices.index(value) for value in values]
            axes.set_xticks(range(len(space.choices)), [str(choice) for choice in space.choices])
        elif getattr(space, "log", False):
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.scatter(
            values,
            [trial.values[0] for trial in complete],
            c=[trial.number for trial in complete],
            cmap=LinearSegmentedColormap.from_list("", ["#E69F00", "#0072B2"]),
            s=22,
        )
        axes.set_title(name, size=9)
        axes.set_yscale("log")
    for axes in panels.flat[len(spaces) :]:
        axes.axis("off")
    return figure
