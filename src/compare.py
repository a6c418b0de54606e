"""Compare finished pipelines: parameters, metrics, and image by image what is more than chance."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from src.core.cli import Parser, run
from src.core.terminal import width

if TYPE_CHECKING:
    from src.evaluation.comparison import Contest
    from src.tracking.revisions import Evaluated

SHOWN = 12  # characters of a commit or an id
MISSING = "-"
UNBOUNDED = 10_000  # columns of a file or a pipe


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.compare",
        description=f"{__doc__} Uses McNemar's test; for more than two, with Holm's correction.",
    )
    parser.add_argument(
        "names",
        nargs="+",
        metavar="PIPELINE",
        help="a revision in git, a DVC experiment, `workspace` (the present results), a params "
        "file, or a run in MLflow by its name, or its id or the beginning of that: an evaluate "
        "run, or one that it is based on",
    )
    parser.add_json()
    arguments = parser.parse_args()
    if not 2 <= (given := len(arguments.names)) <= len(ascii_uppercase):
        parser.error(f"PIPELINE: should be 2 to {len(ascii_uppercase)}, not {given}")
    return arguments


def _compare(names: Sequence[str]) -> dict[str, object]:
    # Imported here, so that --help is fast.
    from src.data.imageset import load_images
    from src.evaluation.predictions import fingerprint
    from src.tracking.evaluations import evaluations

    with evaluations(names, lambda path: fingerprint(load_images(path))) as found:
        report = _Report(dict(zip(ascii_uppercase, found, strict=False)))
    print(report.in_words())
    return report.as_tree()


class _Report:
    """What differs between pipelines, which are called A, B and so on."""

    def __init__(self, pipelines: Mapping[str, "Evaluated"]) -> None:
        self._pipelines = pipelines
        self._parameters = _differing({name: p.parameters for name, p in pipelines.items()})
        self._metrics = _differing({name: p.metrics for name, p in pipelines.items()})
        self._groups = {test: self._same_images(test) for test in ("source", "target")}
        self._apart = {test: groups for test, groups in self._groups.items() if len(groups) > 1}
        self._contests = self._compare()

    def _same_images(self, test: str) -> list[list[str]]:
        """Groups of pipelines, each with the same test images."""
        groups: dict[str, list[str]] = {}
        for name, pipeline in self._pipelines.items():
            # One whose images are not known is alone.
            groups.setdefault(pipeline.tests[test] or name, []).append(name)
        return list(groups.values())

    def _compare(self) -> list["Contest"]:
        from src.evaluation.comparison import contests

        return [
            contest
            for test, groups in self._groups.items()
            for group in groups
            for contest in contests(
                {name: self._pipelines[name].predictions for name in group}, test
            )
        ]

    def _nothing_differs(self) -> bool:
        return (
            not self._parameters
            and not self._metrics
            and not self._apart
            and all(rival.identical for each in self._contests for rival in each.rivals.values())
        )

    def _reasons(self, test: str) -> list[str]:
        """The parameters that explain why test images differ."""
        # The target's images are brought to the size and colour of the source's.
        deciding = ["data.source"] if test == "source" else ["data.target", "data.source"]
        return [key for key in deciding if key in self._parameters]

    def as_tree(self) -> dict[str, object]:
        from dataclasses import asdict

        return {
            "pipelines": {
                name: {
                    "name": pipeline.name,
                    "run": pipeline.run,
                    "commit": pipeline.commit,
                    "parameters": pipeline.parameters,
                    "metrics": pipeline.metrics,
                }
                for name, pipeline in self._pipelines.items()
            },
            "nothing_differs": self._nothing_differs(),
            "parameters": self._parameters,
            "metrics": self._metrics,
            "contests": [asdict(contest) for contest in self._contests],
            "not_comparable": [
                {"test": test, "groups": groups, "because_of": self._reasons(test)}
                for test, groups in self._apart.items()
            ],
        }

    def in_words(self) -> str:
        origins = "\n".join(f"{name} is {_origin(each)}" for name, each in self._pipelines.items())
        if self._nothing_differs():
            return f"{origins}\nnothing differs: the same parameters, metrics and predictions"
        contests = map(_in_words, self._contests)
        paragraphs = [
            origins,
            self._parameters_in_words(),
            self._metrics_in_words(),
            "\n".join(map(self._not_comparable, self._apart)),
            *(contests if len(self._pipelines) > 2 else ["\n".join(contests)]),
        ]
        return "\n\n".join(filter(None, paragraphs))

    def _parameters_in_words(self) -> str:
        if not self._parameters:
            return "the parameters are the same"
        rows = [
            [key, *(str(values.get(name, MISSING)) for name in self._pipelines)]
            for key, values in self._parameters.items()
        ]
        return _table(["parameter", *self._pipelines], rows)

    def _metrics_in_words(self) -> str:
        if not self._metrics:
            return "the metrics are the same"
        names = [*self._pipelines]
        rows = [
            [key, *(f"{values[name]:.4g}" if name in values else MISSING for name in names)]
            for key, values in self._metrics.items()
        ]
        if len(names) > 2:
            return _table(["metric", *names], rows)
        for row, (key, values) in zip(rows, self._metrics.items(), strict=True):
            row.append(self._difference(key, values))
        return _table(["metric", *names, "difference"], rows)

    def _difference(self, key: str, values: Mapping[str, float]) -> str:
        """Of values on the same images."""
        if len(values) < 2 or any(f".{test}." in key for test in self._apart):
            return MISSING
        return f"{values['B'] - values['A']:+.2g}"

    def _not_comparable(self, test: str) -> str:
        told = " and of ".join(", ".join(group) for group in self._apart[test])
        reasons = [
            f"{key} is " + ", ".join(f"{value} in {name}" for name, value in values.items())
            for key, values in self._parameters.items()
            if key in self._reasons(test)
        ] or ["their parameters are the same, so their files or the code that reads them changed"]
        return f"on {test}, not comparable: the test images of {told} differ: {'; '.join(reasons)}"


def _differing(values: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By key, the values of all that have one, where these are not all the same."""
    keys = dict.fromkeys(key for each in values.values() for key in each)
    found = {key: {name: each[key] for name, each in values.items() if key in each} for key in keys}
    return {
        key: given
        for key, given in found.items()
        if len(given) < len(values) or any(value != given["A"] for value in given.values())
    }


def _origin(pipeline: "Evaluated") -> str:
    if pipeline.run:
        return f"{pipeline.name}: run {pipeline.run[:SHOWN]} in MLflow"
    if pipeline.commit:
        return f"{pipeline.name}: commit {pipeline.commit[:SHOWN]}"
    return f"{pipeline.name}: the present results"


def _in_words(contest: "Contest") -> str:
    from src.evaluation.comparison import in_words

    subject = f"{contest.model} on {contest.test}"
    if len(contest.rivals) > 1:
        return f"{subject}:\n{_ranking(contest)}"
    [(name, rival)] = contest.rivals.items()
    if rival.identical:
        return f"{subject}, {name} against {contest.reference}: the same predictions"
    return f"{subject}, {in_words(contest.reference, name, rival)}"


def _ranking(contest: "Contest") -> str:
    from src.core.stats import ALPHA

    rows = []
    for name, accuracy in contest.accuracies.items():
        low, value, high = (100 * part for part in (accuracy.low, accuracy.value, accuracy.high))
        row = [name, f"{value:.2f} % ({low:.2f} to {high:.2f})"]
        if name == contest.reference:
            rows.append([*row, "", "", "the best"])
            continue
        rival = contest.rivals[name]
        verdict = "more than chance" if rival.p_holm < ALPHA else "no difference can be told"
        if rival.identical:
            verdict = "the same predictions"
        rows.append([*row, f"{100 * rival.difference:+.2f}", f"{rival.p_holm:.2g}", verdict])
    return _table(["", "accuracy (95 % interval)", "points", "p (Holm)", "verdict"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As wide as the terminal at most, if the headings leave room: long cells are wrapped."""
    import pandas as pd

    room = (width(sys.stdout) or UNBOUNDED) - 2 * len(head)
    # Above a column, tabulate leaves room for two more characters.
    least = [len(title) + 2 for title in head]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    most = max(widths)
    while (
        most > 10 and sum(max(x, min(y, most)) for x, y in zip(least, widths, strict=True)) > room
    ):
        most -= 1
    return pd.DataFrame(rows, columns=list(head)).to_markdown(
        index=False,
        tablefmt="simple",
        disable_numparse=True,
        colalign=["left", *["right"] * (len(head) - 1)],
        maxcolwidths=[most] * len(head),
    )


def main() -> None:
    arguments = _arguments()
    run(lambda: _compare(arguments.names), arguments.json)


if __name__ == "__main__":
    main()
