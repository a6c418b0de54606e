"""From `tune.space` to Optuna's distributions, and from drawn values to parameters."""

from collections.abc import Mapping
from itertools import product
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from src.config.params import Params
from src.config.tuning import (
    Categorical,
    FloatRange,
    IntRange,
    PerLayer,
    Range,
    extremes,
    keys_drawn,
)
from src.config.values import flatten, value_at, with_values
from src.data.checks import parse_params

# Parameters added since the first studies, at the value that these trained with. A study does not
# store them at that value, so that older ones still match.
ABSENT_IN_OLD_STUDIES = [("model.name", "cnn"), ("model.strides", [])]


class Space:
    """The search space of a sweep, for parameters `tree`: the content of params.yaml.

    Values are keyed by dotted name, those of a list entry by entry: `model.kernel_sizes.0`. Raises
    UserError if the parameters are invalid.
    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self._tree = tree
        self.config = parse_params(tree).tune
        self._ranges: dict[str, Range] = {
            key: values
            for name, values in self.config.space.items()
            for key in keys_drawn(tree, name, values)
        }
        self.distributions = {key: _distribution(values) for key, values in self._ranges.items()}

    def params(self, values: Mapping[str, Any]) -> Params:
        """The parameters with `values`; UserError if that combination is impossible."""
        return parse_params(with_values(self._tree, values))

    def present(self) -> dict[str, Any] | None:
        """The values in the file; None if one of them is outside the space."""
        values = {key: value_at(self._tree, key) for key in self._ranges}
        inside = all(_contains(self._ranges[key], value) for key, value in values.items())
        return values if inside else None

    def max_epochs(self) -> int:
        """The largest number of epochs that a trial may take."""
        epochs = self._ranges.get("train.epochs")
        return int(max(extremes(epochs)) if epochs else value_at(self._tree, "train.epochs"))

    def constant(self) -> dict[str, Any]:
        """What all trials have in common, by dotted name: ranges, and values that do not vary."""
        constant = with_values(self._tree, dict.fromkeys(self._ranges, "varies"))
        sections = {name: constant[name] for name in ("seed", "model", "train")}
        data = {key: constant["data"][key] for key in ("source", "val_fraction")}
        ranges = {"space": self._tree["tune"]["space"]}
        flat = flatten({**sections, "data": data, "tune": ranges})
        return {
            name: value
            for name, value in flat.items()
            if (name, value) not in ABSENT_IN_OLD_STUDIES
        }

    def grid(self) -> list[dict[str, Any]]:
        """Every combination of values. The space must have no float range."""
        points = [_points(values) for values in self._ranges.values()]
        return [dict(zip(self._ranges, point, strict=True)) for point in product(*points)]


def _distribution(values: Range) -> BaseDistribution:
    match values:
        case IntRange():
            return IntDistribution(values.low, values.high, log=values.log)
        case FloatRange():
            return FloatDistribution(values.low, values.high, log=values.log)
        case Categorical() | PerLayer():
            return CategoricalDistribution(values.choices)


def _contains(values: Range, value: Any) -> bool:
    match values:
        case IntRange() | FloatRange():
            return isinstance(value, int | float) and values.low <= value <= values.high
        case Categorical() | PerLayer():
            return value in values.choices


def _points(values: Range) -> tuple[Any, ...]:
    if isinstance(values, IntRange):
        return tuple(range(values.low, values.high + 1))
    assert isinstance(values, Categorical | PerLayer)
    return values.choices
