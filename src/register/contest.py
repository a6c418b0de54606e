"""A challenger against the champion, on the same images."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from src.core.console import bar
from src.data.imageset import ImageSet
from src.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from src.inference.engines import Engine
from src.register import gate
from src.register.gate import Check


def contest(champion: Engine, challenger: Engine, tests: ImageSet, seed: int) -> list[Check]:
    """What the challenger must fulfil to take the champion's place. tests: of its own classes."""
    classes = gate.same_classes(champion.usage, challenger.usage)
    if not classes.passed:
        return [classes]
    engines = (champion, challenger)
    return [
        classes,
        gate.better(*(_correct(engine, tests) for engine in engines)),
        gate.robust(*_under_corruptions(engines, tests, seed)),
    ]


def _correct(engine: Engine, data: ImageSet) -> np.ndarray:
    """Which images are predicted correctly, bool [N]."""
    correct: np.ndarray = engine.run(data.images.numpy()).logits.argmax(1) == data.labels.numpy()
    return correct


def _under_corruptions(engines: Sequence[Engine], tests: ImageSet, seed: int) -> np.ndarray:
    """How often each image is predicted correctly, of its corrupted copies; [engines, N], 0 to 1.

    The copies are those of the evaluate stage.
    """
    kinds = [*product(CORRUPTIONS, SEVERITIES)]
    found = np.zeros((len(engines), len(tests)))
    with bar("corruptions", len(kinds), "test sets") as shown:
        for kind, severity in kinds:
            corrupted = corrupt(tests, kind, severity, seed)
            found += [_correct(engine, corrupted) for engine in engines]
            shown.update()
    return found / len(kinds)
