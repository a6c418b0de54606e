"""Which models are made, from what, and in which order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from src.config.compression import ALONE, ORIGINAL, Int8Config
from src.config.params import Params
from src.core.errors import UserError
from src.data.checks import check_smaller
from src.data.imageset import ImageSet
from src.execution.trainings import Trainings
from src.training.jobs import Job, Student
from src.training.smaller import SmallerParams, as_int8


class Key(NamedTuple):
    """A model by its name, and the seed that it was made with."""

    name: str
    seed: int

    def __str__(self) -> str:
        return f"{self.name}-seed-{self.seed}"


class MadeModel(NamedTuple):
    """A model's file, and the seconds that its training took, on one thread unless on a GPU."""

    content: bytes
    seconds: float = 0.0


Made = dict[Key, MadeModel]


@dataclass(frozen=True)
class Plan:
    """names: of the models. What is trained is made with each of the seeds, the rest once."""

    params: SmallerParams
    names: Sequence[str]
    seeds: range

    @classmethod
    def of(cls, params: Params, wanted: Sequence[str], seeds: range) -> Self:
        """wanted: names of models, made with all that they are made from; if empty, all there are.

        Raises UserError for an unknown name.
        """
        known = params.compress.models
        if unknown := [name for name in wanted if name not in known]:
            raise UserError(f"{unknown[0]}: should be one of compress.models: {', '.join(known)}")
        check_smaller(params, wanted or known)
        needed = params.compress.with_parents(wanted or known)
        sections = params.model_dump(include={*SmallerParams.model_fields})
        names = [name for name in known if name in needed]
        return cls(SmallerParams.model_validate(sections), names, seeds)

    @property
    def original(self) -> str:
        return self.params.compress.original

    def parent(self, name: str) -> str:
        """Of a model other than the original."""
        parent = self.params.compress.models[name.removesuffix(ALONE)].parent
        return self.original if parent == ORIGINAL else parent

    def ordered(self, made: Made) -> list[Key]:
        """The original first; a student before the same network alone; then by seed."""
        names = [self.original, *self.names]
        return sorted(made, key=lambda key: (names.index(key.name.removesuffix(ALONE)), *key))

    def keys(self, name: str) -> list[Key]:
        """Of a model: for each seed if it, or what it is made from, is trained here."""
        config = self.params.compress
        chain = [] if name == self.original else config.chain(name.removesuffix(ALONE))
        trained = any(not isinstance(config.models[each], Int8Config) for each in chain)
        return [Key(name, seed) for seed in (self.seeds if trained else self.seeds[:1])]

    def key_of(self, name: str, seed: int) -> Key:
        """Of the model that goes with others of this seed."""
        found = self.keys(name)
        return Key(name, seed) if len(found) > 1 else found[0]

    def make(self, original: bytes, images: Mapping[str, ImageSet], study: Trainings) -> Made:
        """All models, the original among them; without those whose training failed.

        original: the content of its file; images: for training and validation. Every student is
        also made without its parent, called ALONE.
        """
        made = {self.keys(self.original)[0]: MadeModel(original)}
        generation = [self.original]
        while generation := [name for name in self.names if self.parent(name) in generation]:
            jobs: dict[Key, Job] = {}
            for key, parent in self._with_parents(generation, made):
                if job := self.params.job(key.name, parent, key.seed):
                    jobs[key] = job
                    if isinstance(job, Student) and job.distil.weight:
                        labels = job.distil.model_copy(update={"weight": 0.0})
                        jobs[key._replace(name=f"{key.name}{ALONE}")] = replace(job, distil=labels)
                else:
                    made[key] = MadeModel(
                        as_int8(parent, images[f"{self.params.original.home}.train"])
                    )
            results = study.attempt({str(key): job for key, job in jobs.items()})
            for key in jobs:
                if (result := results.get(str(key))) and result.model:
                    made[key] = MadeModel(result.model, result.seconds)
        return made

    def _with_parents(self, generation: Sequence[str], made: Made) -> Iterator[tuple[Key, bytes]]:
        """The models of a generation, and the contents of their parents, where there are any."""
        for key in (key for name in generation for key in self.keys(name)):
            if (parent := self.key_of(self.parent(key.name), key.seed)) in made:
                yield key, made[parent].content
