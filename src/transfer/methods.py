"""Methods to transfer a model to other data, by labels per class, and what each achieves."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from src.config.params import Params
from src.core.progress import Reporter
from src.data.imageset import ImageSet
from src.data.splits import Splits
from src.evaluation.predictions import accuracy
from src.models.checkpoint import Checkpoint
from src.training.finetune import finetune, limit_labels, rehearse
from src.training.scratch import train_from_scratch

Labels = int | Literal["all"]

STRATEGIES = ("head", "full", "gradual", "discriminative")
ZERO_SHOT, REHEARSAL, SCRATCH = "zero-shot", "rehearsal", "scratch"
METHODS = (ZERO_SHOT, *STRATEGIES, REHEARSAL, SCRATCH)


@dataclass(frozen=True)
class Outcome:
    """The accuracies, 0 to 1, of one method with one seed."""

    seed: int
    method: str
    labels: str  # per class
    target_val: float
    target_test: float
    source_test: float  # NaN where the source has other classes

    def __str__(self) -> str:
        source = "" if math.isnan(self.source_test) else f", source {self.source_test:.2%}"
        return (
            f"seed {self.seed}, {self.labels} labels per class, {self.method}: "
            f"target {self.target_test:.2%}{source}"
        )

    def metrics(self) -> dict[str, float]:
        """The test accuracies, under names that include method and number of labels."""
        tests = {"target_test": self.target_test, "source_test": self.source_test}
        return {
            f"{self.method}_{self.labels}_{name}": value
            for name, value in tests.items()
            if not math.isnan(value)
        }


@dataclass(frozen=True)
class Study:
    """What all trainings have in common; source and target are on one device.

    Where source and target differ in their classes, there is no zero-shot and no rehearsal, and no
    accuracy on the source: an adapted model does not know its classes any more.
    """

    params: Params
    source: Splits
    target: Splits
    labels: Sequence[Labels]

    def run_seed(self, seed: int, reporters: Sequence[Reporter]) -> Iterator[Outcome]:
        """Train a base model, with reporters, and adapt it by every method."""
        model, train = self.params.model, self.params.train
        base = train_from_scratch(
            model, train, self.source.train, self.source.val, seed, reporters
        ).checkpoint
        yield from self.adapt_all(base, seed)

    def adapt_all(self, base: Checkpoint, seed: int) -> Iterator[Outcome]:
        """Adapt `base`, trained on the source, by every method with each number of labels."""
        if self._same_classes:
            yield self._evaluate(base, ZERO_SHOT, 0, seed)
        rehearsal = [REHEARSAL] if self._same_classes else []
        for per_class in self.labels:
            few = limit_labels(self.target.train, per_class, seed)
            for method in (*STRATEGIES, *rehearsal, SCRATCH):
                adapted = self._adapt(base, method, few, seed)
                yield self._evaluate(adapted, method, per_class, seed)

    @property
    def _same_classes(self) -> bool:
        return self.source.train.classes == self.target.train.classes

    def _adapt(self, base: Checkpoint, method: str, few: ImageSet, seed: int) -> Checkpoint:
        """rehearsal: full, with a source image per target image; scratch: from fresh weights."""
        config, val_set = self.params.finetune, self.target.val
        if method == SCRATCH:
            return train_from_scratch(base.config, config, few, val_set, seed).checkpoint
        if method == REHEARSAL:
            few, method = rehearse(few, self.source.train, 1.0, seed), "full"
        strategy = config.model_copy(update={"strategy": method})
        return finetune(base, strategy, few, val_set, seed).checkpoint

    def _evaluate(self, model: Checkpoint, method: str, labels: Labels, seed: int) -> Outcome:
        return Outcome(
            seed,
            method,
            str(labels),
            target_val=accuracy(model, self.target.val),
            target_test=accuracy(model, self.target.test),
            source_test=accuracy(model, self.source.test) if self._same_classes else math.nan,
        )
