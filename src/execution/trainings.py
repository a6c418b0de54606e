"""The trainings of a study: run at the same time, tracked as one, kept, and found again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.config.sections import RuntimeConfig
from src.core import paths
from src.core.cli import Workers
from src.core.console import Progress
from src.core.errors import UserError, warn
from src.core.files import waited_for
from src.core.machines import kinds, on_several
from src.execution.executor import Executor, Failed, Finished
from src.execution.kept import Kept, digest
from src.execution.launch import described, launched
from src.execution.scheduler import Batch, as_ended, run
from src.tracking.nested import TrackedStudy, track_study
from src.tracking.provenance import contents, deciding_code, packages
from src.tracking.store import place
from src.training.jobs import Job
from src.training.result import Result


@dataclass(frozen=True)
class Description:
    """What a study is about."""

    experiment: str  # of MLflow
    name: str
    params: Mapping[str, Any]  # what sets it apart from others of its name
    images: Mapping[str, Path]  # the files of the image sets that its jobs may name
    stage: str | None = None  # the one of dvc.yaml whose inputs they are
    timed: bool = False  # whether one worker must measure what several did not


class Trainings:
    """Runs the jobs of a study; those that have a result already are not run again."""

    def __init__(
        self,
        description: Description,
        executor: Executor,
        kept: Kept,
        tracked: TrackedStudy,
        timed: bool,
    ) -> None:
        self.record = tracked.record  # the study's own run in MLflow
        self.failed: dict[str, str] = {}  # the reasons of the trainings that failed
        self._kinds = set[str]()
        self._description, self._executor = description, executor
        self._kept, self._tracked, self._timed = kept, tracked, timed

    def run(self, jobs: Mapping[str, Job]) -> dict[str, Result]:
        """The results by name. UserError if a training failed, once the others are done."""
        results = self.attempt(jobs)
        self.check()
        return results

    def attempt(self, jobs: Mapping[str, Job]) -> dict[str, Result]:
        """The results by name, without those of trainings that failed."""
        found = {name: result for name, job in jobs.items() if (result := self._found(job))}
        left = {name: job for name, job in jobs.items() if name not in found}
        if found:
            print(f"{self._description.name}: {len(found)} of {len(jobs)} trainings are done")
        self._tracked.mirror(as_ended(name, jobs[name], found[name]) for name in found)

        def keep(name: str, outcome: Finished | Failed) -> None:
            if isinstance(outcome, Finished):
                self._kept.put(jobs[name], outcome.content)

        epochs = sum(job.train.epochs for job in left.values())
        with Progress(self._description.name, left, epochs) as progress:
            batch = Batch(left, keep, [progress, self._tracked])
            run(self._executor, batch)
        self.failed |= batch.failed
        results = found | batch.finished
        self._kinds |= kinds(result.machine for result in results.values())
        return {name: results[name] for name in jobs if name in results}

    def check(self) -> None:
        """Raise UserError if a training failed."""
        for name, reason in self.failed.items():
            more = f" (and {len(self.failed) - 1} more)" if len(self.failed) > 1 else ""
            raise UserError(f"{self._description.name}: {name}{more} failed: {reason}")

    def tell_kinds(self) -> None:
        """Warn if the trainings ran on machines that do not compute alike."""
        self.record.tags({"machines": "; ".join(sorted(self._kinds))})
        if len(self._kinds) > 1:
            warn(f"{self._description.name}: trained {on_several(self._kinds)}")

    def _found(self, job: Job) -> Result | None:
        result = self._kept.get(job)
        return None if result and self._timed and not result.alone else result


@contextmanager
def trainings(
    description: Description, runtime: RuntimeConfig, workers: Workers
) -> Iterator[Trainings]:
    """The trainings of a study, while the block lasts; by one process at a time.

    What is trained with equal code, images and machine is found again, in any later call; on a
    cluster, whatever its nodes: each result names its own.
    """
    name, folder = description.name, paths.root() / paths.TRAININGS
    machine = described(workers, runtime)

    def surroundings() -> dict[str, Any]:
        return {
            "code": deciding_code("train"),
            "packages": packages(),
            "images": contents(description.images),
            "machine": machine,
        }

    def check() -> None:
        if surroundings() != begun:
            raise UserError(f"{name}: code or data changed after it was started; start again")

    lock = paths.root() / f".dvc/tmp/idxflow-{name}.lock"
    with waited_for(lock, f"another process that runs {name}"):
        begun = surroundings()
        # Of this checkout alone: another one does not share the results, or the lock.
        key = digest([name, description.params, begun, place()])
        with (
            track_study(
                description.experiment, name, key, description.params, machine, description.stage
            ) as tracked,
            launched(workers, runtime, description.images, check) as executor,
        ):
            timed = description.timed and workers.alone
            made = Trainings(description, executor, Kept(folder, begun), tracked, timed)
            yield made
            made.tell_kinds()
