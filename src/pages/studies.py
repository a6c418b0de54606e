"""The pages of the commands that run many trainings, from the tables that these leave."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from filelock import FileLock
from pandas.api.types import is_numeric_dtype

from src.core import paths
from src.core.finding import SUMMARY
from src.core.tables import read_table
from src.pages.cells import Cell, counts, numbers, percents, points, small, texts, with_interval
from src.pages.index import issues
from src.pages.page import Page, Section, Table, write_page

# Columns that a page reads.
TRIAL = ("trial", "state", "val_loss", "epochs", "seconds", "reason", "retry_of")
CANDIDATE = ("name", "seeds", "val_loss", "val_loss_std", "accuracy", "sweep_loss")
FOLD = ("fold", "n", "accuracy", "accuracy_lo", "accuracy_hi", "loss")
ISSUE = ("split", "index", "label", "suggested", "margin")
METHOD = ("labels", "method", "seeds", "target_val", "target_test", "source_test", "gain")


class Record(Protocol):
    """Where a page is kept: a run in MLflow."""

    def page(self, path: Path) -> None: ...


def write_study(name: str, record: Record | None = None) -> None:
    """Write reports/<name>/index.html, keep it in `record`, and say where it is."""
    path = paths.REPORTS / name / paths.REPORT.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # sweeps may end together
        write_page(PAGES[name](), path)
    if record:
        record.page(path)
    print(f"The page: {path}")


def _sweeps() -> Page:
    sections = [_sweep(path) for path in sorted(paths.SWEEPS.glob("*.csv"))]
    return Page(
        "Sweeps", ["Searches for a lower validation loss; no test image is read."], sections
    )


def _sweep(path: Path) -> Section:
    folder, table = path.with_suffix(""), read_table(path, TRIAL)
    trials = {
        "trial": counts(table["trial"]),
        "state": texts(table["state"]),
        "validation loss": numbers(table["val_loss"]),
        "epochs": counts(table["epochs"]),
        "seconds": numbers(table["seconds"], 1),
        **{name: _values(table[name]) for name in table.columns if name not in TRIAL},
        "reason": texts(table["reason"]),
    }
    pictures = [folder / f"{name}.svg" for name in ("history", "importances", "slice")]
    tables = [Table(f"{len(table)} trials", trials, closed=True)]
    confirmed = folder / "candidates.csv"
    if confirmed.exists():
        tables.insert(0, _confirmation(read_table(confirmed, CANDIDATE)))
    # The candidates' lines are the table.
    words = [line for line in _summary(folder) if "  val loss " not in line]
    return Section(f"Study {path.stem}", words, tables, pictures)


def _confirmation(table: pd.DataFrame) -> Table:
    """The candidates that were trained again, with seeds that played no part in the sweep."""
    columns = {
        "candidate": texts(table["name"]),
        "fresh seeds": counts(table["seeds"]),
        "mean validation loss": numbers(table["val_loss"]),
        "standard deviation": numbers(table["val_loss_std"]),
        "validation accuracy": percents(table["accuracy"]),
        "loss in the sweep": numbers(table["sweep_loss"]),
    }
    return Table("the best trials and params.yaml, trained again", columns)


def _values(column: pd.Series) -> list[Cell]:
    return small(column, digits=3) if is_numeric_dtype(column) else texts(column)


def _crossval() -> Page:
    table = read_table(paths.CROSSVAL / "folds.csv", FOLD)
    columns = {
        "fold": texts(table["fold"]),
        "images": counts(table["n"]),
        "accuracy": with_interval(table, "accuracy"),
        "loss": numbers(table["loss"]),
    }
    doubted = read_table(paths.CROSSVAL / "label_issues.csv", ISSUE)
    disputed = {"split": texts(doubted["split"]), **issues(doubted)}
    words = [
        "Labels that models not trained on them dispute. The margin is the difference of the two "
        "probabilities."
    ]
    picture = paths.CROSSVAL / "label_issues.svg"
    sections = [
        Section("Folds", tables=[Table("accuracy by fold", columns)]),
        Section(
            "Label issues",
            words,
            [Table(f"{len(doubted)} labels", disputed, closed=True)],
            [picture],
        ),
    ]
    return Page("Cross-validation", _summary(paths.CROSSVAL), sections)


def _transfer() -> Page:
    table = read_table(paths.TRANSFER / "table.csv", METHOD)
    columns = {
        "labels per class": texts(table["labels"]),
        "method": texts(table["method"]),
        "seeds": counts(table["seeds"]),
        "target": with_interval(table, "target_test"),
        "gain over scratch, points": points(table, "gain", "gain_lo", "gain_hi"),
        "source": with_interval(table, "source_test"),
        "target's validation images": with_interval(table, "target_val"),
    }
    words = [
        "Mean accuracy over the seeds on test images, with its 95 % interval. Choose by the "
        "validation images: the test images are read for this page only."
    ]
    tables = [Table("methods by labels per class", columns)]
    section = Section("Methods", words, tables, [paths.TRANSFER / "transfer.svg"])
    return Page("Transfer", ["When does a base model help, and which way to adapt it?"], [section])


def _recipes() -> Page:
    table = read_table(paths.RECIPES / "table.csv")
    columns = {
        "recipe": texts(table["recipe"]),
        "test accuracy": with_interval(table, "accuracy"),
        "standard deviation": percents(table["accuracy_std"]),
        "network": texts(table["network"]),
        "parameters": counts(table["parameters"]),
        "epochs": counts(table["epochs"]),
        "seeds": counts(table["seeds"]),
        "seconds per epoch": numbers(table["seconds_per_epoch"], 1),
        "published accuracy": percents(table["published_accuracy"]),
    }
    words = [
        "Mean test accuracy over the seeds, with its 95 % interval (Wilson) over the test images."
    ]
    tables = [Table("means over the seeds", columns)]
    section = Section("Side by side", words, tables, [paths.RECIPES / "table.svg"])
    lead = "Networks of published articles, one for daily use, and a fast one, on official MNIST."
    return Page("Recipes", [lead], [section])


def _compress() -> Page:
    table = read_table(paths.COMPRESS / "table.csv")
    columns = {
        "model": texts(table["model"]),
        "parameters": counts(table["parameters"]),
        "multiply-adds": counts(table["multiply_adds"]),
        "KB": numbers(table["bytes"] / 1000, 0),
        "milliseconds, one image": numbers(1000 * table["seconds_1"], 2),
        "times as fast": numbers(table["faster_1"], 1),
        "milliseconds, 64 images": numbers(1000 * table["seconds_64"], 2),
        "times as fast, 64": numbers(table["faster_64"], 1),
        "validation images": with_interval(table, "val"),
        "source": with_interval(table, "source"),
        "target": with_interval(table, "target"),
        "difference from the original, points": numbers(100 * table["difference"], 2),
        "McNemar's p": small(table["p"]),
        "over the same network alone, points": points(
            table, "over_alone", "over_alone_lo", "over_alone_hi"
        ),
        "corrupted": percents(table["corrupted"]),
        "calibration error": percents(table["ece"]),
        "seeds": counts(table["seeds"]),
        "seconds of training": numbers(table["seconds"].replace(0, np.nan), 0),
    }
    words = [
        "Accuracies and calibration errors are means over the seeds; an interval is that of one "
        "test set of this size. Size, time and accuracy on corrupted images are of the model of "
        "the first seed. Sizes are of ONNX files of models that have not been evaluated; times are "
        "on one thread, compared with the original's in the same run. McNemar's p is corrected for "
        "all models (Holm). Choose by the validation images: test images are read for this page "
        "only.",
        *_summary(paths.COMPRESS),
    ]
    sections = [
        Section(
            "Models",
            words,
            [Table("size, speed and accuracy", columns)],
            [paths.COMPRESS / "pareto.svg"],
        )
    ]
    if (paths.COMPRESS / "sensitivity.csv").exists():  # not of a network without hidden units
        sections.append(
            Section(
                "Sensitivity",
                ["Accuracy without the least important units of one layer, before any training."],
                [_sensitivity()],
                [paths.COMPRESS / "sensitivity.svg"],
            )
        )
    return Page("Smaller models", ["What do pruning, distillation and 8 bits cost?"], sections)


def _sensitivity() -> Table:
    table = read_table(paths.COMPRESS / "sensitivity.csv")
    columns = {
        "layer": texts(table["layer"]),
        "removed": percents(table["removed"]),
        "units left": counts(table["units"]),
        "validation images": with_interval(table, "accuracy"),
    }
    return Table("accuracy by layer and share removed", columns, closed=True)


def _summary(folder: Path) -> list[str]:
    path = folder / SUMMARY
    return path.read_text("utf-8").splitlines() if path.exists() else []


PAGES: dict[str, Callable[[], Page]] = {
    "tune": _sweeps,
    "crossval": _crossval,
    "transfer": _transfer,
    "recipes": _recipes,
    "compress": _compress,
}
