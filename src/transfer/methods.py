"""Methods to transfer a model to other data: what is trained for each, and what it achieves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from src.config.params import Params
from src.training.finetune import Labels
from src.training.jobs import Adapt, Job, Scratch
from src.training.result import Result

STRATEGIES = ("head", "full", "gradual", "discriminative")
ZERO_SHOT, REHEARSAL, SCRATCH = "zero-shot", "rehearsal", "scratch"
METHODS = (ZERO_SHOT, *STRATEGIES, REHEARSAL, SCRATCH)


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

    def bases(self) -> dict[str, Job]:
        """A base model per seed, trained on the source."""
        train, model = self.params.train, self.params.model
        tests = self._tests if self.same_classes else ()
        return {
            _base(seed): Scratch(train=train, seed=seed, model=model, tests=tests, keep_model=True)
            for seed in self.seeds
        }

    def adaptations(self, bases: Mapping[str, Result]) -> dict[str, Job]:
        """Each base model adapted by every method with each number of labels."""
        return {
            _name(seed, method, labels): self._adapt(bases[_base(seed)], seed, method, labels)
            for seed in self.seeds
            for labels in self.labels
            for method in self._methods
        }

    def outcomes(self, results: Mapping[str, Result]) -> list[Outcome]:
        """By seed, number of labels and method."""
        found = []
        for seed in self.seeds:
            if self.same_classes:
                found.append(_outcome(results[_base(seed)], seed, ZERO_SHOT, 0))
            found += [
                _outcome(results[_name(seed, method, labels)], seed, method, labels)
                for labels in self.labels
                for method in self._methods
            ]
        return found

    @property
    def _methods(self) -> tuple[str, ...]:
        return (*STRATEGIES, *([REHEARSAL] if self.same_classes else []), SCRATCH)

    @property
    def _tests(self) -> tuple[str, ...]:
        return (*TARGET_TESTS, SOURCE_TEST) if self.same_classes else TARGET_TESTS

    def _adapt(self, base: Result, seed: int, method: str, labels: Labels) -> Job:
        """rehearsal: full, with a source image per target image; scratch: from fresh weights."""
        assert base.model is not None
        changes: dict[str, object] = {"labels_per_class": labels, "rehearsal": 0.0}
        if method in STRATEGIES:
            changes["strategy"] = method
        elif method == REHEARSAL:
            changes |= {"strategy": "full", "rehearsal": 1.0}
        config = self.params.finetune.model_copy(update=changes)
        if method == SCRATCH:
            return Scratch(
                train=config,
                seed=seed,
                model=self.params.model,
                role="target",
                labels=labels,
                tests=self._tests,
            )
        return Adapt(train=config, seed=seed, base=base.model, tests=self._tests)


def _base(seed: int) -> str:
    return f"seed-{seed}-base"


def _name(seed: int, method: str, labels: Labels) -> str:
    return f"seed-{seed}-{method}-{labels}"


def _outcome(result: Result, seed: int, method: str, labels: Labels) -> Outcome:
    accuracies = {name: made.accuracy for name, made in result.predictions.items()}
    val, test = (accuracies[name] for name in TARGET_TESTS)
    return Outcome(seed, method, str(labels), val, test, accuracies.get(SOURCE_TEST, math.nan))
