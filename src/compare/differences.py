"""What differs between finished pipelines: values that may be shown or printed."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from src.evaluation.comparison import Contest, contests
from src.tracking.revisions import Evaluated


class Differences:
    """What differs between pipelines, which are called A, B and so on."""

    def __init__(self, pipelines: Mapping[str, Evaluated]) -> None:
        self.pipelines = pipelines
        self.parameters = _differing({name: p.parameters for name, p in pipelines.items()})
        self.metrics = _differing({name: p.metrics for name, p in pipelines.items()})
        self._groups = {test: self._same_images(test) for test in ("source", "target")}
        self.apart = {test: groups for test, groups in self._groups.items() if len(groups) > 1}
        self.contests = self._compare()

    def _same_images(self, test: str) -> list[list[str]]:
        """Groups of pipelines, each with the same test images."""
        groups: dict[str, list[str]] = {}
        for name, pipeline in self.pipelines.items():
            # One whose images are not known is alone.
            groups.setdefault(pipeline.tests[test] or name, []).append(name)
        return list(groups.values())

    def _compare(self) -> list[Contest]:
        return [
            contest
            for test, groups in self._groups.items()
            for group in groups
            for contest in contests(
                {name: self.pipelines[name].predictions for name in group}, test
            )
        ]

    def nothing(self) -> bool:
        return (
            not self.parameters
            and not self.metrics
            and not self.apart
            and all(rival.identical for each in self.contests for rival in each.rivals.values())
        )

    def reasons(self, test: str) -> list[str]:
        """The parameters that explain why test images differ."""
        # The target's images are brought to the size and colour of the source's.
        deciding = ["data.source"] if test == "source" else ["data.target", "data.source"]
        return [key for key in deciding if key in self.parameters]

    def as_tree(self) -> dict[str, object]:
        return {
            "pipelines": {
                name: {
                    "name": pipeline.name,
                    "run": pipeline.run,
                    "commit": pipeline.commit,
                    "parameters": pipeline.parameters,
                    "metrics": pipeline.metrics,
                }
                for name, pipeline in self.pipelines.items()
            },
            "nothing_differs": self.nothing(),
            "parameters": self.parameters,
            "metrics": self.metrics,
            "contests": [asdict(contest) for contest in self.contests],
            "not_comparable": [
                {"test": test, "groups": groups, "because_of": self.reasons(test)}
                for test, groups in self.apart.items()
            ],
        }


def _differing(values: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By key, the values of all that have one, where these are not all the same."""
    keys = dict.fromkeys(key for each in values.values() for key in each)
    found = {key: {name: each[key] for name, each in values.items() if key in each} for key in keys}
    return {
        key: given
        for key, given in found.items()
        if len(given) < len(values) or any(value != given["A"] for value in given.values())
    }
