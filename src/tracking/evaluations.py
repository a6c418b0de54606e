"""What finished pipelines left in MLflow, by run id."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from src.core.errors import UserError
from src.tracking.store import PIPELINE, opened

if TYPE_CHECKING:
    from mlflow.entities import Run as Entry

EVALUATION = "evaluation"  # the folder of a run's artifacts


class Evaluated(NamedTuple):
    run_id: str
    tests: dict[str, str]  # by role, the fingerprint of the test images
    files: Path


@contextmanager
def evaluations(*runs: str) -> Iterator[list[Evaluated]]:
    """The evaluate runs named by these ids or based on the runs named, with copies of their files.

    An id may be given by its beginning. Raises UserError if it names no run, several, or one
    without a finished evaluation.
    """
    with opened(PIPELINE) as (client, [experiment]), TemporaryDirectory() as copies:
        entries = client.search_runs([experiment], max_results=50_000)
        found = []
        for number, run in enumerate(runs):
            entry = _evaluation(entries, run)
            folder = Path(copies) / str(number)
            folder.mkdir()
            client.download_artifacts(entry.info.run_id, EVALUATION, str(folder))
            tags = entry.data.tags
            tests = {role: tags.get(f"test.{role}", "") for role in ("source", "target")}
            found.append(Evaluated(entry.info.run_id, tests, folder / EVALUATION))
        yield found


def _evaluation(entries: list["Entry"], run: str) -> "Entry":
    named = [entry for entry in entries if run and entry.info.run_id.startswith(run)]
    if len(named) != 1:
        raise UserError(
            f"{run!r}: should be the beginning of one run's id in MLflow, not of {len(named)}"
        )
    [entry] = named
    stage = entry.data.tags.get("dvc.stage", "")
    # Newest first: of a training that was evaluated again, the latest evaluation.
    evaluated = [
        other
        for other in entries
        if other.data.tags.get("dvc.stage") == "evaluate"
        and other.info.status == "FINISHED"
        and entry.info.run_id in (other.info.run_id, other.data.tags.get(f"upstream.{stage}"))
    ]
    if not evaluated:
        raise UserError(f"{run}: a run of {stage} on which no finished evaluate run is based")
    return evaluated[0]
