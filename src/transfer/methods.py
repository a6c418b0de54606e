"""Methods to transfer a model to other data: what is trained for each, and what it achieves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from src.config.params import Params
from src.config.sections import TrainConfig
from src.training.finetune import Labels
from src.training.jobs import Adapt, Job, Scratch
from src.training.result import Result

ZERO_SHOT, REHEARSAL, SCRATCH = "zero-shot", "rehearsal", "scratch"
# The ways to adapt a base model: what each changes in the section finetune.
ADAPTING: dict[str, dict[str, object]] = {
    "head": {"strategy": "head", "rehearsal": 0.0},
    "full": {"strategy": "full", "rehearsal": 0.0},
    "gradual": {"strategy": "gradual", "rehearsal": 0.0},
    "discriminative": {"strategy": "discriminative", "rehearsal": 0.0},
    REHEARSAL: {"strategy": "full", "rehearsal": 1.0},  # a source image per target image
}
METHODS = (ZERO_SHOT, *ADAPTING, SCRATCH)
TARGET_TESTS, SOURCE_TEST = ("target.val", "target.test"), "source.test"


@dataclass(frozen=True)
class Outcome:
    """The accuracies, 0 to 1, of one method with one seed."""

    seed: int
    method: str
    labels: str  # per class
    target_val: float
    target_test: float
    source_test: float  # NaN where the source has other classes


@dataclass(frozen=True)
class Plan:
    """The trainings of a transfer study, by name, and the outcomes of their results.

    Where source and target differ in their classes, there is no zero-shot and no rehearsal, and no
    accuracy on the source: an adapted model does not know its classes any more.
    """

    params: Params
    seeds: range
    labels: Sequence[Labels]
    same_classes: bool

    def from_scratch(self) -> dict[str, Job]:
        """A base model per seed, on the source, and the baselines, on the target."""
        finetune, model = self.params.finetune, self.params.model
        bases = {
            _name(seed, ZERO_SHOT, 0): Scratch(
                train=self.params.train,
                seed=seed,
                model=model,
                tests=self._tests if self.same_classes else (),
                keep_model=True,
            )
            for seed in self.seeds
        }
        # What decides how a model is adapted is left out: it does not decide the baselines.
        train = TrainConfig.model_validate(finetune.model_dump(include={*TrainConfig.model_fields}))
        baselines = {
            _name(seed, SCRATCH, labels): Scratch(
                train=train, seed=seed, model=model, role="target", labels=labels, tests=self._tests
            )
            for seed in self.seeds
            for labels in self.labels
        }
        return {**bases, **baselines}

    def adaptations(self, results: Mapping[str, Result]) -> dict[str, Job]:
        """The base models among the results, adapted in every way with each number of labels."""
        bases = {seed: results.get(_name(seed, ZERO_SHOT, 0)) for seed in self.seeds}
        return {
            _name(seed, method, labels): Adapt(
                train=self.params.finetune.model_copy(
                    update={**ADAPTING[method], "labels_per_class": labels}
                ),
                seed=seed,
                base=base.model,
                tests=self._tests,
            )
            for seed, base in bases.items()
            if base and base.model
            for labels in self.labels
            for method in self._adapting
        }

    def outcomes(self, results: Mapping[str, Result]) -> list[Outcome]:
        """By seed, number of labels and method; without what has no result."""
        zero_shot: list[tuple[Labels, str]] = [(0, ZERO_SHOT)] if self.same_classes else []
        ways = [(labels, method) for labels in self.labels for method in (*self._adapting, SCRATCH)]
        return [
            _outcome(results[name], seed, method, labels)
            for seed in self.seeds
            for labels, method in (*zero_shot, *ways)
            if (name := _name(seed, method, labels)) in results
        ]

    @property
    def _adapting(self) -> list[str]:
        return [method for method in ADAPTING if self.same_classes or method != REHEARSAL]

    @property
    def _tests(self) -> tuple[str, ...]:
        return (*TARGET_TESTS, SOURCE_TEST) if self.same_classes else TARGET_TESTS


def _name(seed: int, method: str, labels: Labels) -> str:
    return f"seed-{seed}-base" if method == ZERO_SHOT else f"seed-{seed}-{method}-{labels}"


def _outcome(result: Result, seed: int, method: str, labels: Labels) -> Outcome:
    accuracies = {name: made.accuracy for name, made in result.predictions.items()}
    val, test = (accuracies[name] for name in TARGET_TESTS)
    return Outcome(seed, method, str(labels), val, test, accuracies.get(SOURCE_TEST, math.nan))
