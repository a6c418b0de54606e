"""What runs the trainings of a command: the only place that names an executor."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from src.config.sections import RuntimeConfig
from src.execution.executor import Executor, Setup
from src.execution.local import Pool


def launched(
    workers: int,
    runtime: RuntimeConfig,
    images: Mapping[str, Path],
    check: Callable[[], None],
) -> AbstractContextManager[Executor]:
    """An executor while the block lasts; no worker starts before the first job.

    images: the files of the image sets that jobs may name; check: called once a worker has loaded
    code and images; raises a UserError if these have changed, so that it would train differently
    from the others.
    """
    return Pool(workers, Setup(runtime, images, alone=workers == 1), check)
