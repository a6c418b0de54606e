"""A model that is to be registered, and whether it is sound."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.core.errors import UserError, first_line
from src.core.paths import SPLITS
from src.data.imageset import ImageSet, load_images
from src.data.overview import duplicates
from src.data.splits import Splits
from src.evaluation.subjects import SUBJECTS, TENSORS, Subject
from src.inference.engines import Onnx, Torch, exported, open_export
from src.inference.exporting import Parity, export, test_images
from src.inference.usage import Usage
from src.register import gate
from src.register.gate import Check
from src.tracking.origins import Lineage, trace


@dataclass(frozen=True)
class Candidate:
    """subject: the model of the pipeline that it is; tests: the test images of its home."""

    weights: Path
    subject: Subject
    model: Torch
    export: Onnx
    content: bytes  # of the exported file
    tests: ImageSet
    lineage: Lineage

    @property
    def usage(self) -> Usage:
        return self.model.usage

    def checks(self) -> list[Check]:
        """Whether it is sound."""
        correct = self.model.run(self.tests.images.numpy()).logits.argmax(1)
        labels = self.tests.labels.numpy()
        return [
            self._parity(),
            gate.lineage(self.lineage),
            gate.held_out(self._seen(), len(self.tests)),
            gate.no_guess(correct == labels, labels),
        ]

    def _parity(self) -> Check:
        """Found anew: what the file says of its parity, another file could say, too."""
        pixels = self.tests.images.numpy()
        try:
            found = Parity.of(self.export, self.model, pixels)
            pairs = [*zip(self.export.run(pixels), self.model.run(pixels), strict=True)][1:]
        except Exception as error:  # the runtime raises a dozen kinds, of no common base
            return Check("parity", False, f"broken export: {first_line(error)}")
        return gate.parity(found, max(float(np.abs(one - other).max()) for one, other in pairs))

    def _seen(self) -> int:
        """How many test images of its home are among the images that it learned from."""
        splits = {
            role: Splits(*(load_images(folder / split) for split in SPLITS))
            for role, folder in TENSORS.items()
        }
        twins = duplicates(splits)
        places = {f"{role} {split}" for role in self.subject.learned for split in ("train", "val")}
        ours = (twins["test_set"] == self.subject.home) & twins["found_in"].isin(places)
        return int(twins.loc[ours, "test_index"].nunique())


def load(weights: Path) -> Candidate:
    """The model of a file, exported if it is not yet.

    Raises UserError if evaluate has not seen it, or if it cannot be exported.
    """
    model = Torch(weights)
    subject = _subject(weights, model.usage)
    tests = test_images(model.usage, weights)
    file = exported(weights)
    if not file.exists() or open_export(file).usage != model.usage:
        export(weights, file)
    content = file.read_bytes()
    return Candidate(
        weights, subject, model, Onnx(content, str(file)), content, tests, _lineage(subject.path)
    )


def _lineage(path: Path) -> Lineage:
    try:
        return trace(str(path))
    except UserError:  # dvc.lock does not have it
        return Lineage((), ())


def _subject(weights: Path, usage: Usage) -> Subject:
    """The one with these weights, whatever the file is called."""
    for subject in SUBJECTS:
        if usage.home and subject.path.exists() and _sha256(subject.path) == usage.model:
            return subject
    raise UserError(f"{weights}: not a model that evaluate has seen as it is; `dvc repro` first")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
