"""A run in MLflow with runs below it: trainings that belong together."""

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


class Family:
    """The parent, and what starts its children."""

    def __init__(
        self, client: "MlflowClient", experiment: str, parent: Run, tags: Mapping[str, str]
    ) -> None:
        self._client, self._experiment, self._tags = client, experiment, tags
        self.parent = parent

    def child(self, name: str) -> Run:
        """A run below the parent, to be used as a context manager."""
        tags = {**self._tags, PARENT: self.parent.run_id}
        return start_run(self._client, self._experiment, name, tags)


@contextmanager
def track_family(
    experiment: str, name: str, params: Mapping[str, Any], stage: str | None = None
) -> Iterator[Family]:
    """A run called `name` with `params` flattened; it ends as the block does.

    stage: the one of dvc.yaml whose data are used, so that the runs name what made these.
    """
    with opened(PIPELINE, experiment) as (client, [pipeline, own]):
        tags = origin_tags(client, pipeline, stage) if stage else code_tags()
        if "DVC_STAGE" in os.environ:
            tags["dvc.stage"] = os.environ["DVC_STAGE"]
        with start_run(client, own, name, tags) as parent:
            parent.params(flatten(params))
            yield Family(client, own, parent, tags)
