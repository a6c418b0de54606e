"""A model that is to be registered, and whether it is sound."""

from dataclasses import dataclass
from pathlib import Path

from src.config.params import Params
from src.core.errors import UserError, first_line
from src.core.paths import SPLITS
from src.data.checks import load_params
from src.data.imageset import ImageSet, load_images
from src.data.overview import duplicates
from src.data.splits import Splits
from src.evaluation.subjects import TENSORS, Subject, subjects
from src.inference.engines import Onnx, Outputs, Torch, exported, is_current, open_export
from src.inference.exporting import Parity, export, test_images
from src.inference.usage import Usage, sha256
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
        wanted, labels = self.model.run(self.tests.images.numpy()), self.tests.labels.numpy()
        return [
            self._parity(wanted),
            gate.lineage(self.lineage),
            gate.held_out(self._seen(), len(self.tests)),
            gate.no_guess(wanted.logits.argmax(1) == labels, labels),
        ]

    def _parity(self, wanted: Outputs) -> Check:
        """Found anew: what the file says of its parity, another file could say, too."""
        try:
            found = self.export.run(self.tests.images.numpy())
        except Exception as error:  # the runtime raises a dozen kinds, of no common base
            return Check("parity", False, f"broken export: {first_line(error)}")
        return gate.parity(Parity.of(found, wanted))

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
    if not file.exists() or not is_current(open_export(file), weights):
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
    for subject in subjects(load_params(Params).compress):
        file = subject.path
        if usage.is_evaluated and file.exists() and sha256(file.read_bytes()) == usage.weights:
            return subject
    raise UserError(f"{weights}: not a model that evaluate has seen as it is; `dvc repro` first")
