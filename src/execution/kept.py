"""Results of trainings in files, found again by the hash of what decides them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.core.errors import UserError
from src.core.tensorfile import write_bytes
from src.training.jobs import Job
from src.training.result import Result, from_bytes


def digest(value: Any) -> str:
    """A hash of what JSON can express."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class Kept:
    """A file per result in `folder`; any may be deleted, and is then made again.

    surroundings: what decides all results besides their jobs, as JSON can express it: the code,
    the images, the machine. A damaged file counts as missing.
    """

    def __init__(self, folder: Path, surroundings: Mapping[str, Any]) -> None:
        self._folder, self._surroundings = folder, surroundings

    def get(self, job: Job) -> Result | None:
        path = self._path(job)
        try:
            return from_bytes(path.read_bytes(), str(path))
        except (FileNotFoundError, UserError):
            return None

    def put(self, job: Job, content: bytes) -> None:
        """Keep a result, given as bytes."""
        write_bytes(self._path(job), content)

    def _path(self, job: Job) -> Path:
        name = digest({"job": job.as_json(), **self._surroundings})
        return self._folder / f"{name[:32]}.safetensors"
