"""Brings writes to MLflow: one that it does not take ends no training."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from src.core.errors import first_line, warn
from src.core.secrets import without_secrets

if TYPE_CHECKING:  # MLflow takes a second and a half to import: only once it is needed
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

T = TypeVar("T")
Write = Mapping[str, Any]  # something a run is told: see `_tell`

PAUSE = 60.0  # seconds for which MLflow is left alone after it has not answered
PATIENCE = 60.0  # seconds for which the start of a run waits for a busy database
BUSY = "TEMPORARILY_UNAVAILABLE"
# MLflow would never take it: the run has been deleted, say.
FINAL = (
    *("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"),
    *("INVALID_STATE", "BAD_REQUEST", "PERMISSION_DENIED"),
)


class Courier:
    """MLflow's client, and whether it has answered lately.

    address: the store's, as it may be shown; store: tells it from other stores; own: whether it is
    the repository's own database, which nobody opens but through this checkout.
    """

    def __init__(self, client: "MlflowClient", address: str, store: str, *, own: bool) -> None:
        self.client, self.store, self.own = client, store, own
        self._address = address
        self._away_until = 0.0
        self._said: set[str] = set()

    def insist(self, call: Callable[["MlflowClient"], T]) -> T:
        """The call's result; a database that another program holds is waited for."""
        from mlflow.exceptions import MlflowException

        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                return call(self.client)
            except MlflowException as error:
                if error.error_code != BUSY or time.monotonic() > give_up:
                    raise
                time.sleep(1)

    def attempt(
        self,
        call: Callable[["MlflowClient"], T],
        *,
        urgent: bool = False,
        refused: T | None = None,
    ) -> T | None:
        """The call's result; None if MLflow does not answer, or has not within the last minute.

        urgent: try even so. refused: the result if MLflow would never do it.
        """
        from mlflow.exceptions import MlflowException

        if time.monotonic() < self._away_until and not urgent:
            return None
        try:
            return call(self.client)
        except (MlflowException, OSError) as error:
            # Or a file that was kept for it has been deleted.
            if isinstance(error, FileNotFoundError) or getattr(error, "error_code", "") in FINAL:
                self.warn(error, "The work goes on without it")
                return refused
            self._away_until = time.monotonic() + PAUSE
            self.warn(error, "The work goes on; what MLflow misses is delivered once it is back")
            return None

    def deliver(self, run_id: str, write: Write, *, urgent: bool = False) -> bool:
        """Whether the write is done with: MLflow has taken it, or never would."""

        def tell(client: "MlflowClient") -> bool:
            _tell(client, run_id, write)
            return True

        return self.attempt(tell, urgent=urgent, refused=True) or False

    def warn(self, error: Exception, consequence: str) -> None:
        """Say what MLflow did not take, and what follows from that: each consequence once."""
        if consequence not in self._said:
            driver = getattr(error.__cause__, "orig", None)  # SQLAlchemy says more, and less
            reason = without_secrets(first_line(driver or error))
            warn(f"MLflow at {self._address}: {reason}. {consequence}.")
        self._said.add(consequence)


def _tell(client: "MlflowClient", run_id: str, write: Write) -> None:
    from mlflow.entities import Metric, Param, RunTag

    match write:
        case {"metrics": points}:
            client.log_batch(run_id, metrics=[Metric(*point) for point in points])
        case {"params": values}:
            client.log_batch(run_id, params=[Param(*pair) for pair in values.items()])
        case {"datasets": found}:
            client.log_inputs(run_id, [_as_input(each) for each in found])
        case {"tags": values}:
            client.log_batch(run_id, tags=[RunTag(*pair) for pair in values.items()])
        case {"text": text, "name": name}:
            client.log_text(run_id, text, name)
        case {"file": path} if Path(path).is_dir():
            client.log_artifacts(run_id, path, Path(path).name)
        case {"file": path}:
            client.log_artifact(run_id, path)
        case {"status": status, "time": milliseconds}:
            client.set_terminated(run_id, status, milliseconds)


def _as_input(found: Mapping[str, str]) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": found["source"]})
    data = Dataset(found["name"], found["digest"], "local", source)
    return DatasetInput(data, [InputTag("mlflow.data.context", found["context"])])
