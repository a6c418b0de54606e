"""The published recipes side by side: what each came to with several seeds."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from src.config.data import DataConfig, facts_of
from src.config.model import ModelConfig
from src.config.train import TrainConfig
from src.data.sources import obtain
from src.data.splits import Splits, read_splits
from src.drawing import save_figure
from src.evaluation.metrics import wilson
from src.files import write_csv, written_whole
from src.runtime import generator
from src.training.inference import predict
from src.training.reporting import Reporter
from src.training.scratch import train_from_scratch


@dataclass(frozen=True)
class Result:
    """What one training of a recipe came to."""

    recipe: str
    seed: int
    parameters: int  # numbers that are trained
    epochs: int
    seconds_per_epoch: float  # of training alone, the median epoch
    seconds: float  # of the whole training, validation included
    n: int  # test images
    correct: int  # of them

    @property
    def accuracy(self) -> float:
        return self.correct / self.n

    def __str__(self) -> str:
        low, high = wilson(self.correct, self.n)
        return (
            f"{self.recipe} seed {self.seed}: test accuracy {self.accuracy:.2%} "
            f"({low:.2%} to {high:.2%}), {self.seconds:.0f} s"
        )


def obtain_splits(data: DataConfig, seed: int, downloads: Path, device: torch.device) -> Splits:
    """The splits of `data.source`, split by `seed`, in its own size, on the device."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        obtain(data.source, folder, downloads)
        classes = facts_of(data.source).classes
        splits = read_splits(folder, classes, data.val_images, generator(seed, "split"))
    return Splits(*(split.to(device) for split in splits))


def try_out(
    recipe: str,
    model: ModelConfig,
    train: TrainConfig,
    splits: Splits,
    seed: int,
    reporters: Sequence[Reporter],
) -> Result:
    """Train with the seed given, then read the test images, once."""
    started = time.perf_counter()
    trained = train_from_scratch(model, train, splits.train, splits.val, seed, reporters)
    seconds = time.perf_counter() - started
    network, epochs = trained.checkpoint.model, trained.fit.epochs
    right = predict(network, splits.test).argmax(1) == splits.test.labels
    return Result(
        recipe=recipe,
        seed=seed,
        parameters=sum(weights.numel() for weights in network.parameters()),
        epochs=len(epochs),
        seconds_per_epoch=median(len(splits.train) / epoch.images_per_second for epoch in epochs),
        seconds=seconds,
        n=len(right),
        correct=int(right.sum()),
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
    accuracy, time = figure.subplots(1, 2, sharey=True)
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
    time.barh(rows, table["seconds_per_epoch"])
    time.plot(table["published_seconds_per_epoch"], rows, "x", color="C3")
    time.set(title="seconds per epoch")
    time.invert_yaxis()
    save_figure(figure, path)
