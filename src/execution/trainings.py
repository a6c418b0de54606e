"""The trainings of a study: run beside each other, tracked as one, kept, and found again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.config.sections import RuntimeConfig
from src.core import paths
from src.core.console import Progress
from src.core.errors import UserError
from src.core.files import waited_for
from src.core.runtime import describe, set_up
from src.execution.executor import Executor
from src.execution.kept import Kept, digest
from src.execution.launch import launched
from src.execution.scheduler import Batch, as_ended, run
from src.tracking.nested import TrackedStudy, track_study
from src.tracking.provenance import contents, deciding_code
from src.tracking.runs import Run
from src.training.jobs import Job
from src.training.result import Result


@dataclass(frozen=True)
class About:
    """What a study is about."""

    experiment: str  # of MLflow
    name: str
    params: Mapping[str, Any]  # what sets it apart from others of its name
    images: Mapping[str, Path]  # the files of the image sets that its jobs may name
    stage: str | None = None  # the one of dvc.yaml whose inputs they are


@dataclass(frozen=True)
class Trainings:
    """Runs the jobs of a study; those that have a result already are not run again."""

    _name: str
    _executor: Executor
    _kept: Kept
    _tracked: TrackedStudy

    @property
    def record(self) -> Run:
        """The study's own run in MLflow."""
        return self._tracked.record

    def run(self, jobs: Mapping[str, Job]) -> dict[str, Result]:
        """The results by name. UserError if a training failed, once the others are done."""
        kept = {name: found for name, job in jobs.items() if (found := self._kept.get(job))}
        left = {name: job for name, job in jobs.items() if name not in kept}
        if kept:
            print(f"{self._name}: {len(kept)} of {len(jobs)} trainings were done before")
        self._tracked.mirror(as_ended(name, jobs[name], kept[name].result) for name in kept)
        with Progress(self._name, sum(job.train.epochs for job in left.values())) as progress:
            batch = Batch(left, self._kept.put, [progress, self._tracked])
            run(self._executor, batch)
        if batch.failed:
            name, reason = next(iter(batch.failed.items()))
            raise UserError(
                f"{self._name}: {len(batch.failed)} of {len(jobs)} trainings failed, the first, "
                f"{name}, because {reason}"
            )
        return {name: (kept | batch.finished)[name].result for name in jobs}


@contextmanager
def trainings(about: About, runtime: RuntimeConfig, workers: int) -> Iterator[Trainings]:
    """The trainings of a study, while the block lasts; by one process at a time.

    What is trained with equal code, images and machine is found again, in any later call.
    """
    machine = describe(set_up(runtime.device, runtime.threads))

    def surroundings() -> dict[str, Any]:
        images = contents(about.images)
        return {"code": deciding_code("train"), "images": images, "machine": machine}

    begun = surroundings()

    def check() -> None:
        if surroundings() != begun:
            raise UserError(f"{about.name}: code or data changed after it was started; start again")

    key = digest([about.name, about.params, begun])
    with (
        _alone(about.name),
        track_study(
            about.experiment, about.name, key, about.params, machine, about.stage
        ) as tracked,
        launched(workers, runtime, about.images, check) as executor,
    ):
        kept = Kept(paths.root() / paths.TRAININGS, begun)
        yield Trainings(about.name, executor, kept, tracked)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Wait until no other process runs this study."""
    folder = paths.root() / paths.TRAININGS
    folder.mkdir(parents=True, exist_ok=True)
    with waited_for(folder / f"{name}.lock", f"another process that runs {name}"):
        yield
