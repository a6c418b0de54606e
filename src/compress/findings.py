"""What smaller models cost and achieve beside their originals, as tables, picture and words."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from src.compress.measure import BATCHES, Model
from src.config.compression import ALONE
from src.core.finding import Finding
from src.core.plots import FAINT, blank
from src.core.stats import ALPHA, holm, mcnemar, student, wilson
from src.evaluation.comparison import compare


def summary(models: Sequence[Model]) -> Finding:
    """models: as `measure` gives them, the original first; with a cost, the first of its name."""
    outcomes = pd.DataFrame([_outcome(model) for model in models])
    table = summarise(models)
    return Finding(
        {"outcomes.csv": outcomes, "table.csv": table},
        {"pareto.svg": draw(table)},
        text="\n".join([*distillation(table), choice(models)]),
        documents={"table.md": f"{as_markdown(table)}\n{by_seed(outcomes, models[0].home)}"},
    )


def _outcome(model: Model) -> dict[str, object]:
    """The accuracies, 0 to 1, of a model with one seed."""
    return {
        "model": model.key.name,
        "seed": model.key.seed,
        "val": model.val.metrics["accuracy"],
        "val_loss": model.val.metrics["loss"],
        **{f"{role}_test": each.metrics["accuracy"] for role, each in model.tests.items()},
        "home_test": model.home_test.metrics["accuracy"],
        "ece": model.home_test.metrics["ece"],
        "seconds": model.seconds,
    }


def summarise(models: Sequence[Model]) -> pd.DataFrame:
    """A row per name.

    val, source, target: mean accuracies over the seeds, with their 95 % Wilson intervals for so
    many images. On test images of the data that the models are for: difference, the mean less the
    original's accuracy; p, McNemar's for these trainings, corrected for all models (Holm); ece, the
    mean calibration error; over_alone, by how much a student is better than the same network
    trained alone, the mean over the seeds that both have, with Student's 95 % interval. Cost and
    corrupted are of the model of the first seed; faster_N: see `measure.Cost`.
    """
    groups = {name: [*each] for name, each in groupby(models, key=lambda model: model.key.name)}
    original = models[0].home_test.correct
    rows = []
    for name, each in groups.items():
        first, right = each[0], np.sum([model.home_test.correct for model in each], axis=0)
        assert first.cost
        rows.append(
            {
                "model": name,
                "seeds": len(each),
                "seconds": float(np.mean([model.seconds for model in each])),
                "parameters": first.cost.parameters,
                "multiply_adds": first.cost.multiply_adds,
                "bytes": first.cost.size,
                **{f"seconds_{batch}": first.cost.seconds[batch] for batch in BATCHES},
                **{f"faster_{batch}": first.cost.ratios[batch] for batch in BATCHES},
                **_mean("val", [model.val.correct for model in each]),
                **_mean("source", [model.tests["source"].correct for model in each]),
                **_mean("target", [model.tests["target"].correct for model in each]),
                "difference": float((right / len(each) - original).mean()),
                "p": mcnemar(len(each) * original.astype(int), right),
                **_over_alone(each, groups.get(f"{name}{ALONE}", [])),
                "corrupted": first.corrupted,
                "ece": float(np.mean([model.home_test.metrics["ece"] for model in each])),
            }
        )
    table = pd.DataFrame(rows)
    # The original does not compete with itself.
    table["p"] = [math.nan, *holm(table["p"][1:].tolist())]
    table.loc[0, "difference"] = math.nan
    return table


def _mean(name: str, correct: Sequence[np.ndarray]) -> dict[str, float]:
    """correct: of each seed's model, bool [N]."""
    low, high = wilson(round(np.sum(correct, axis=1).mean()), len(correct[0]))
    return {name: float(np.mean(correct)), f"{name}_lo": low, f"{name}_hi": high}


def _over_alone(taught: Sequence[Model], alone: Sequence[Model]) -> dict[str, float]:
    """NaN where there is nothing to compare, and no interval for one seed."""
    before = {model.key.seed: model.home_test.metrics["accuracy"] for model in alone}
    gains = [
        model.home_test.metrics["accuracy"] - before[model.key.seed]
        for model in taught
        if model.key.seed in before
    ]
    low, high = student(gains)
    mean = float(np.mean(gains)) if gains else math.nan
    return {"over_alone": mean, "over_alone_lo": low, "over_alone_hi": high}


def distillation(table: pd.DataFrame) -> Iterator[str]:
    """Of each student: is it better than the same network, trained alone with the same seeds?"""
    for row in table[table["over_alone"].notna()].to_dict("records"):
        low, high = row["over_alone_lo"], row["over_alone_hi"]
        interval = f"95 % interval {100 * low:+.2f} to {100 * high:+.2f}"
        if low > 0:
            verdict = f"{interval}: distillation pays"
        elif high < 0:
            verdict = f"{interval}: distillation does harm"
        elif math.isnan(low):
            verdict = "one seed alone gives no interval"
        else:
            verdict = f"{interval}: no difference can be told"
        yield (
            f"{row['model']} against the same network trained alone: "
            f"{100 * row['over_alone']:+.2f} points on test images ({verdict})"
        )


def choice(models: Sequence[Model]) -> str:
    """The smallest model that the validation images do not show to be worse than the original."""
    original, *others = [model for model in models if model.cost]
    compared = {
        model.key: compare(original.val.correct, model.val.correct)
        for model in others
        if not model.key.name.endswith(ALONE)
    }
    fit = [
        model
        for model in others
        if (found := compared.get(model.key)) and (found.p >= ALPHA or found.difference > 0)
    ]
    test = f"McNemar's test on {len(original.val.correct):,} validation images, first seed"
    if not fit:
        return f"every smaller model is worse than {original.key.name} ({test})"
    best = min(fit, key=_size)
    found = compared[best.key]
    return (
        f"the smallest that is not shown to be worse than {original.key.name}: {best.key.name}, "
        f"{_size(best):,} of {_size(original):,} bytes, {100 * found.difference:+.2f} points (95 % "
        f"interval {100 * found.low:+.2f} to {100 * found.high:+.2f}; {test})"
    )


def _size(model: Model) -> int:
    assert model.cost
    return model.cost.size


def as_markdown(table: pd.DataFrame) -> str:
    shown = pd.DataFrame(
        {
            "model": table["model"],
            "parameters": [f"{each:,}" for each in table["parameters"]],
            "multiply-adds": [f"{each:,}" for each in table["multiply_adds"]],
            "KB": [f"{each / 1000:,.0f}" for each in table["bytes"]],
            **{
                f"{batch} image{'s' * (batch > 1)}, ms (times as fast)": [
                    f"{1000 * taken:.2f} ({ratio:.1f})"
                    for taken, ratio in zip(
                        table[f"seconds_{batch}"], table[f"faster_{batch}"], strict=True
                    )
                ]
                for batch in BATCHES
            },
            **{
                f"{name}, %": [
                    f"{100 * mean:.2f} ({100 * low:.2f} to {100 * high:.2f})"
                    for mean, low, high in zip(
                        table[name], table[f"{name}_lo"], table[f"{name}_hi"], strict=True
                    )
                ]
                for name in ("val", "source", "target")
            },
            "difference from the original, points (p)": [
                "" if math.isnan(p) else f"{100 * difference:+.2f} ({p:.2g})"
                for difference, p in zip(table["difference"], table["p"], strict=True)
            ],
            "over the same network alone, points": [
                _points(mean, low, high)
                for mean, low, high in zip(
                    table["over_alone"],
                    table["over_alone_lo"],
                    table["over_alone_hi"],
                    strict=True,
                )
            ],
            "corrupted, %": [f"{100 * each:.1f}" for each in table["corrupted"]],
            "calibration error, %": [f"{100 * each:.2f}" for each in table["ece"]],
            "seeds": table["seeds"],
            "training, s": [f"{each:.0f}" if each else "" for each in table["seconds"]],
        }
    )
    return f"{shown.to_markdown(index=False, disable_numparse=True)}\n"


def _points(mean: float, low: float, high: float) -> str:
    if math.isnan(low):
        return "" if math.isnan(mean) else f"{100 * mean:+.2f}"
    return f"{100 * mean:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"


def by_seed(outcomes: pd.DataFrame, home: str) -> str:
    """The accuracy on test images of every model that was made more than once."""
    each = outcomes.pivot(index="model", columns="seed", values="home_test")
    each = each.loc[outcomes["model"].unique()].dropna(thresh=2)
    shown = pd.DataFrame({f"seed {seed}": _percents(values) for seed, values in each.items()})
    shown.insert(0, f"{home}, %, by seed", each.index)
    return f"{shown.to_markdown(index=False, disable_numparse=True)}\n" if len(each) else ""


def _percents(shares: pd.Series) -> list[str]:
    return ["" if math.isnan(share) else f"{100 * share:.2f}" for share in shares]


def draw(table: pd.DataFrame) -> Figure:
    """Accuracy on validation images against size (left) and latency (right), with the front."""
    figure = blank(9.5, 4.2, "Accuracy on validation images against size and against latency")
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, table, table["bytes"].to_numpy() / 1000)
    _panel(right, table, 1000 * table["seconds_1"].to_numpy())
    left.set(xlabel="KB", ylabel="validation accuracy, 95 % interval")
    right.set(xlabel="milliseconds for one image")
    lines = left.get_legend_handles_labels()
    figure.legend(*lines, loc="outside right center", title="model")
    return figure


def _panel(axes: Axes, table: pd.DataFrame, cost: np.ndarray) -> None:
    """cost: by row of the table."""
    value = table["val"].to_numpy()
    best = front(cost, value)
    label = "Pareto front:\nbeaten by none in both"
    axes.plot(cost[best], value[best], color=FAINT, linewidth=0.8, zorder=0, label=label)
    below, above = value - table["val_lo"], table["val_hi"] - value
    for place, name in enumerate(table["model"]):
        error = [[below[place]], [above[place]]]
        axes.errorbar(
            cost[place], value[place], yerr=error, fmt="o", markersize=5, capsize=2, label=name
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def front(cost: np.ndarray, value: np.ndarray) -> list[int]:
    """Places of what nothing else beats in both, the cheapest first (Pareto)."""
    found: list[int] = []
    for place in np.lexsort((-value, cost)).tolist():
        if not found or value[place] > value[found[-1]]:
            found.append(place)
    return found
