"""Results of trainings in files, found again by the hash of what decides them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.core.errors import UserError
from src.core.files import written_whole
from src.execution.executor import Failed, Finished
from src.training.jobs import Job


def digest(value: Any) -> str:
    """A hash of what JSON can express."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class Kept:
    """A file per result in `folder`; any may be deleted, and is then made again.

    surroundings: what decides all results besides their jobs, as JSON can express it: the code,
    the images, the machine. Failures are not kept, and a damaged file counts for none: the training
    is done again.
    """

    def __init__(self, folder: Path, surroundings: Mapping[str, Any]) -> None:
        self._folder, self._surroundings = folder, surroundings

    def get(self, job: Job) -> Finished | None:
        try:
            found = Finished(self._path(job).read_bytes())
            _ = found.result
        except (FileNotFoundError, UserError):
            return None
        return found

    def put(self, job: Job, outcome: Finished | Failed) -> None:
        if isinstance(outcome, Finished):
            with written_whole(self._path(job)) as partial:
                partial.write_bytes(outcome.content)

    def _path(self, job: Job) -> Path:
        name = digest({"job": job.about(), **self._surroundings})
        return self._folder / f"{name[:32]}.safetensors"
