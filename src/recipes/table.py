"""The published recipes side by side: what each came to with several seeds."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from src.core.files import written_whole
from src.core.plots import save_figure
from src.core.stats import wilson
from src.core.tables import write_csv
from src.recipes.recipe import Result


def in_words(result: Result) -> str:
    low, high = wilson(result.correct, result.n)
    return (
        f"{result.recipe} seed {result.seed}: test accuracy {result.accuracy:.2%} "
        f"({low:.2%} to {high:.2%}), {result.seconds:.0f} s"
    )


def write_results(results: Sequence[Result], path: Path) -> None:
    """A row per seed."""
    write_csv(pd.DataFrame([asdict(result) for result in results]), path)


def compare(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """A row per recipe, of rows per seed: means, intervals, and the published script's figures.

    accuracy_lo and accuracy_hi bound the 95 % Wilson interval of the mean accuracy on so many test
    images; accuracy_std is the deviation over the seeds.
    """
    rows = []
    for recipe, runs in results.assign(accuracy=results["correct"] / results["n"]).groupby(
        "recipe"
    ):
        low, high = wilson(round(runs["correct"].mean()), runs["n"].iloc[0])
        rows.append(
            {
                "recipe": recipe,
                "parameters": runs["parameters"].iloc[0],
                "epochs": runs["epochs"].max(),
                "seeds": len(runs),
                "accuracy": runs["accuracy"].mean(),
                "accuracy_std": runs["accuracy"].std(),
                "accuracy_lo": low,
                "accuracy_hi": high,
                "seconds_per_epoch": runs["seconds_per_epoch"].median(),
                "seconds": runs["seconds"].mean(),
            }
        )
    table = pd.DataFrame(rows).merge(published, on="recipe", how="left")
    return table.fillna({"network": ""})


def as_markdown(table: pd.DataFrame) -> str:
    """The table for people."""
    lines = [
        "| recipe | network | parameters | epochs | test accuracy, mean (95 % interval) "
        "| deviation over seeds | seconds per epoch | published script, time per epoch |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for _, row in table.iterrows():
        published = f"{row['published_accuracy']:.2%}, {row['published_seconds_per_epoch']:.1f} s"
        lines.append(
            f"| {row['recipe']} | {row['network']} | {row['parameters']:,} | {row['epochs']} "
            f"| {row['accuracy']:.2%} ({row['accuracy_lo']:.2%} to {row['accuracy_hi']:.2%}) "
            f"| {row['accuracy_std']:.2%} | {row['seconds_per_epoch']:.1f} "
            f"| {'' if pd.isna(row['published_accuracy']) else published} |"
        )
    return "\n".join(lines) + "\n"


def write_comparison(table: pd.DataFrame, folder: Path) -> None:
    """The table as CSV and Markdown, and the picture of it."""
    write_csv(table, folder / "table.csv")
    with written_whole(folder / "table.md") as partial:
        partial.write_text(as_markdown(table))
    draw_recipes(table, folder / "table.png")


def draw_recipes(table: pd.DataFrame, path: Path) -> None:
    """Test accuracy with its interval (left), beside the published one, and time (right)."""
    figure = Figure(figsize=(10, 0.6 * len(table) + 1.4), layout="constrained")
    accuracy, speed = figure.subplots(1, 2, sharey=True)
    rows = range(len(table))
    below = table["accuracy"] - table["accuracy_lo"]
    above = table["accuracy_hi"] - table["accuracy"]
    accuracy.errorbar(
        table["accuracy"], rows, xerr=[below, above], fmt="o", capsize=4, label="here"
    )
    accuracy.plot(table["published_accuracy"], rows, "x", color="C3", label="published script")
    accuracy.set(title="test accuracy, mean of the seeds, 95 % interval")
    accuracy.set_yticks(rows, table["recipe"])
    accuracy.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    accuracy.locator_params(axis="x", nbins=6)
    accuracy.grid(axis="x", alpha=0.3)
    accuracy.legend()
    speed.barh(rows, table["seconds_per_epoch"])
    speed.plot(table["published_seconds_per_epoch"], rows, "x", color="C3")
    speed.set(title="seconds per epoch")
    speed.invert_yaxis()
    save_figure(figure, path)
