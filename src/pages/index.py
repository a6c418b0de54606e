"""The report of the pipeline: a page of what the stages left in reports/."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from src.config.values import flatten
from src.core import paths
from src.core.tables import read_table
from src.pages.cells import counts, numbers, percents, points, small, texts, with_interval
from src.pages.page import Page, Section, Table, write_page

ROLES = ("source", "target")


class Ran(Protocol):
    """What decided the results of an execution of evaluate."""

    @property
    def params(self) -> Mapping[str, Any]: ...

    def data(self) -> Mapping[str, str]:
        """MD5 by path."""

    def code(self) -> Mapping[str, str]:
        """MD5 by folder."""


def write_report(ran: Ran) -> None:
    """Write reports/index.html.

    Raises UserError if a table that a stage left is missing or damaged.
    """
    write_page(_page(ran), paths.REPORT)


def _page(ran: Ran) -> Page:
    source, target = (ran.params["data"][role] for role in ROLES)
    lead = [
        f"A model for {source}, fine-tuned on {target}.",
        *(f"Warning: {doubt}." for doubt in _read(paths.WARNINGS, paths.DATA_REPORT)["warning"]),
        *_read("comparisons.csv")["verdict"].map(_as_sentence),
    ]
    sections = [
        _results(),
        _what_ran(ran),
        *(_data(role, ran.params["data"][role]) for role in ROLES),
        _learning(),
        _classes(),
        Section(
            "Mistakes",
            ["The most confident ones: actual → predicted, confidence."],
            pictures=_pictures("mistakes"),
        ),
        _calibration(),
        _robustness(),
        _label_issues(),
        _attribution(),
        _features(),
    ]
    return Page(f"{source} → {target}", lead, sections)


def _read(name: str, folder: Path = paths.EVALUATION) -> pd.DataFrame:
    return read_table(folder / name)


def _pictures(kind: str) -> list[Path]:
    return sorted(paths.EVALUATION.glob(f"{kind}_*.svg"))


def _as_sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _results() -> Section:
    table = _read("accuracy.csv")
    words = [
        "Every model on the test images that it meets, which no training and no choice reads; "
        "with 95 % intervals. Precision, recall and F1 are means over the classes; calibration is "
        "the expected error of the confidence; loss is cross-entropy in nats."
    ]
    columns = {
        "model": texts(table["model"]),
        "test set": texts(table["test"]),
        "accuracy": with_interval(table, "accuracy"),
        "images": counts(table["n"]),
        "loss": numbers(table["loss"]),
        "precision": percents(table["precision_macro"]),
        "recall": percents(table["recall_macro"]),
        "F1": percents(table["f1_macro"]),
        "calibration": percents(table["ece"]),
    }
    pairs = _read("comparisons.csv")
    compared = {
        "second": texts(pairs["second"]),
        "against": texts(pairs["first"]),
        "test set": texts(pairs["test"]),
        "difference in points": points(pairs, "difference", "low", "high"),
        "images better": counts(pairs["only_second"]),
        "images worse": counts(pairs["only_first"]),
        "McNemar's p": small(pairs["p"]),
    }
    tables = [Table("accuracy", columns), Table("pairs, image by image", compared)]
    return Section("Results", words, tables, [paths.EVALUATION / "transfer.svg"])


def _what_ran(ran: Ran) -> Section:
    words = [
        "What decides these results: parameters, data and code, with their MD5 as in dvc.lock. "
        "python -m src.lineage reports/index.html leads from here to the raw data."
    ]
    values = dict(sorted(flatten(ran.params).items()))
    return Section(
        "What ran",
        words,
        [
            Table(
                f"{len(values)} parameters",
                {"parameter": texts(values), "value": texts(values.values())},
                closed=True,
            ),
            *(
                _hashes(kind, found)
                for kind, found in (("input", ran.data()), ("code", ran.code()))
            ),
        ],
    )


def _hashes(kind: str, found: Mapping[str, str]) -> Table:
    ordered = dict(sorted(found.items()))
    return Table(kind, {kind: texts(ordered), "MD5": texts(ordered.values())}, closed=True)


def _data(role: str, name: str) -> Section:
    folder = paths.DATA_REPORT / role
    classes, pixels = _read("class_counts.csv", folder), _read("pixels.csv", folder)
    warnings, twins = (
        _read(each, paths.DATA_REPORT) for each in (paths.WARNINGS, "duplicates.csv")
    )
    doubts = [*warnings.loc[warnings["role"] == role, "warning"]]
    copies = twins.loc[twins["test_set"] == role, "test_index"].nunique()
    words = [
        f"Test images that are exact copies of training or validation images: {copies}.",
        *(f"Warning: {doubt}." for doubt in doubts),
        *(["No warnings."] if not doubts else []),
    ]
    by_class = {
        "class": texts(classes["class"]),
        **{split: counts(classes[split]) for split in ("train", "val", "test")},
    }
    by_split = {
        "split": texts(pixels["split"]),
        "images": counts(pixels["images"]),
        "channels": counts(pixels["channels"]),
        "height": counts(pixels["height"]),
        "width": counts(pixels["width"]),
        "mean": numbers(pixels["mean"], 1),
        "standard deviation": numbers(pixels["std"], 1),
        "background": percents(pixels["share_background"]),
    }
    tables = [Table("pixels, 0 to 255", by_split), Table("images by class", by_class, closed=True)]
    return Section(
        f"Data: {role}, {name}", words, tables, [folder / "samples.svg", folder / "means.svg"]
    )


def _learning() -> Section:
    words = [
        "Training loss is with augmentation, dropout and label smoothing, where these are on, so "
        "it may lie above validation loss. Panels of one kind share their scale. The baseline from "
        "scratch leaves no table of its epochs."
    ]
    return Section("Learning curves", words, pictures=[paths.EVALUATION / "curves.svg"])


def _classes() -> Section:
    table = _read("per_class.csv")
    columns = {
        "model": texts(table["model"]),
        "test set": texts(table["test"]),
        "class": texts(table["class"]),
        "images": counts(table["n"]),
        "precision": percents(table["precision"]),
        "recall": percents(table["recall"]),
        "F1": percents(table["f1"]),
    }
    tables = [Table("by class", columns, closed=True)]
    if (swaps := _confusions())["model"]:
        tables.insert(0, Table("most frequent confusions", swaps))
    return Section("Classes", tables=tables, pictures=_pictures("confusion"))


def _confusions() -> dict[str, list[Any]]:
    """The pairs of classes that are taken for each other most often, over all models."""
    found = []
    for path in sorted(paths.EVALUATION.glob("predictions_*.csv")):
        table = _read(path.name)
        wrong = table[table["actual"] != table["predicted"]]
        pairs = wrong.groupby(["actual", "predicted"]).size().reset_index(name="times")
        model, test = path.stem.removeprefix("predictions_").rsplit("_", 1)
        found.append(pairs.assign(model=model, test=test))
    most = pd.concat(found).sort_values("times", ascending=False, kind="stable").head(10)
    return {
        "model": texts(most["model"]),
        "test set": texts(most["test"]),
        "actual": texts(most["actual"]),
        "predicted": texts(most["predicted"]),
        "times": counts(most["times"]),
    }


def _calibration() -> Section:
    table = _read("calibration.csv")
    words = [
        "Is a model right as often as it is confident? On the line, it is. A temperature, fitted "
        "on the validation images, is to correct it without changing a prediction: the table tells "
        "whether it does."
    ]
    columns = {
        "model": texts(table["model"]),
        "test set": texts(table["test"]),
        "temperature": numbers(table["temperature"], 2),
        "calibration error": percents(table["ece"]),
        "with the temperature": percents(table["ece_scaled"]),
        "loss": numbers(table["loss"]),
        "loss with the temperature": numbers(table["loss_scaled"]),
    }
    return Section(
        "Calibration",
        words,
        [Table("temperature scaling", columns)],
        [paths.EVALUATION / "reliability.svg"],
    )


def _robustness() -> Section:
    table = _read("corruptions.csv")
    columns = {
        "model": texts(table["model"]),
        "test set": texts(table["test"]),
        "images": counts(table["n"]),
        "corruption": texts(table["corruption"]),
        "severity": counts(table["severity"]),
        "accuracy": with_interval(table, "accuracy"),
    }
    corrupted = table[table["severity"] > 0]
    means = corrupted.groupby(["model", "test"], sort=False)["accuracy"].mean().reset_index()
    words = [
        "Each model on the test images of the data that it is for: where these differ, the curves "
        "do not compare the models.",
        *(
            f"Mean accuracy of {model} on {test} over all corruptions and severities: {mean:.2%}."
            for model, test, mean in zip(*(means[name] for name in means), strict=True)
        ),
    ]
    return Section(
        "Robustness",
        words,
        [Table("accuracy by corruption and severity", columns, closed=True)],
        [paths.EVALUATION / "corruptions.svg"],
    )


def _label_issues() -> Section:
    words = [
        "Test labels that may be wrong: the model trained for these images is confident of another "
        "class. The margin is the difference of the two probabilities."
    ]
    tables, pictures = [], []
    for role in ROLES:
        table = _read(f"label_issues_{role}.csv")
        words.append(f"Among the {role}'s test images: {len(table) or 'none'}.")
        if len(table):
            tables.append(Table(f"{role}: {len(table)} labels", issues(table), closed=True))
            pictures.append(paths.EVALUATION / f"label_issues_{role}.svg")
    return Section("Label issues", words, tables, pictures)


def issues(table: pd.DataFrame) -> dict[str, list[Any]]:
    """The columns of possible label issues."""
    return {
        "image": counts(table["index"]),
        "label": texts(table["label"]),
        "suggestion": texts(table["suggested"]),
        "margin": numbers(table["margin"], 2),
    }


def _attribution() -> Section:
    words = [
        "Which pixels does an answer rest on? Saliency is the size of the gradient at each pixel. "
        "Integrated gradients say what each pixel adds to the answer's logit, compared with an "
        "image of the background alone: blue speaks for the answer, red against it. They add up to "
        "the difference of the logits, but for the error of 50 steps. What equals the background "
        "gets none: ink that is missing cannot be credited.",
        "Of up to six classes, the most confident right and wrong answer. An attribution shows "
        "what the network used, not whether that is a good reason.",
    ]
    return Section("Attribution", words, pictures=_pictures("attribution"))


def _features() -> Section:
    words = [
        "The network's own view: the filters of its first layer, each on its own scale with 0 in "
        "grey, and what the convolutions, if it has any, make of an image; darker is more active."
    ]
    return Section("Features", words, pictures=[*_pictures("filters"), *_pictures("features")])
