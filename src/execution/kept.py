"""Results of trainings in files, found again by the hash of what decides them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.core.errors import UserError
from src.core.files import write_bytes
from src.training.jobs import Job
from src.training.result import Result, from_bytes

SEAL = 32  # bytes before a result


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
            written = path.read_bytes()
            seal, content = written[:SEAL], written[SEAL:]
            return from_bytes(content, str(path)) if seal == _seal(path, content) else None
        except (FileNotFoundError, UserError):
            return None

    def put(self, job: Job, content: bytes) -> None:
        """Keep a result, given as bytes."""
        path = self._path(job)
        write_bytes(_seal(path, content) + content, path)

    def _path(self, job: Job) -> Path:
        name = digest({"job": job.as_json(), **self._surroundings})
        return self._folder / name[:32]


def _seal(path: Path, content: bytes) -> bytes:
    """By which a changed result, or that of another job, is told from the one that was kept."""
    return hashlib.sha256(path.name.encode() + content).digest()
