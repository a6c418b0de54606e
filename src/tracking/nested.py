"""A run in MLflow with child runs: trainings that belong together."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from src.config.values import flatten
from src.tracking.provenance import code_tags
from src.tracking.runs import Run, origin_tags, start_run
from src.tracking.store import PIPELINE, opened

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT = "mlflow.parentRunId"


class ParentRun(Run):
    """An open run that starts child runs with its own tags."""

    def __init__(
        self, client: "MlflowClient", experiment: str, run_id: str, tags: Mapping[str, str]
    ) -> None:
        super().__init__(client, run_id)
        self._experiment, self._shared_tags = experiment, tags

    def child(self, name: str) -> Run:
        """A new run below this one; as a context manager it ends when its block does."""
        tags = {**self._shared_tags, PARENT: self.run_id}
        return start_run(self._client, self._experiment, name, tags)


@contextmanager
def track_parent(
    experiment: str, name: str, params: Mapping[str, Any], stage: str | None = None
) -> Iterator[ParentRun]:
    """A run called `name` with `params` flattened; it ends when the block does.

    stage: the one of dvc.yaml whose inputs are used, so that the runs name what made these.
    """
    with opened(PIPELINE, experiment) as (client, [pipeline, own]):
        tags = origin_tags(client, pipeline, stage) if stage else code_tags()
        if "DVC_STAGE" in os.environ:
            tags["dvc.stage"] = os.environ["DVC_STAGE"]
        run_id = start_run(client, own, name, tags).run_id
        with ParentRun(client, own, run_id, tags) as parent:
            parent.params(flatten(params))
            yield parent
