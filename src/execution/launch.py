"""What runs the trainings of a command: the only place that names an executor."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from src.config.sections import RuntimeConfig
from src.core.cli import Workers
from src.core.errors import UserError
from src.core.runtime import describe, set_up
from src.execution.executor import Executor, Setup
from src.execution.local import Pool


def launched(
    workers: Workers,
    runtime: RuntimeConfig,
    images: Mapping[str, Path],
    check: Callable[[], None],
) -> AbstractContextManager[Executor]:
    """An executor while the block lasts; no worker starts before the first job.

    images: the files of the image sets that jobs may name; check: called once a worker has loaded
    code and images; raises a UserError if these have changed, so that it would train differently
    from the others.
    """
    if workers.cluster is None:
        assert workers.count is not None
        return Pool(workers.count, Setup(runtime, images, workers.alone), check)
    # Ray reads both when it is imported: no report to its makers, and a cluster that is for this
    # call only does not listen to other machines.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if workers.cluster == "local":
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    from src.execution.cluster import Cluster  # imported here: Ray is optional

    return Cluster(workers, Setup(_on_cluster(workers, runtime), images, alone=False), check)


def described(workers: Workers, runtime: RuntimeConfig) -> dict[str, str]:
    """What the bits of all results depend on besides code, data and parameters.

    On a cluster, only what its nodes have in common: each result names its own machine. Prepares
    this process, too, which computes with the results.
    """
    if workers.cluster is None:
        return describe(set_up(**runtime.model_dump()))
    there = _on_cluster(workers, runtime)
    set_up("cpu", runtime.threads, runtime.portable)
    return {"cluster": there.device, "threads": str(there.threads), "portable": f"{there.portable}"}


def _on_cluster(workers: Workers, runtime: RuntimeConfig) -> RuntimeConfig:
    """`runtime` with the device that Ray gives a worker: UserError if another one is asked for."""
    device = "cuda" if workers.gpus else "cpu"
    if runtime.device not in ("auto", device):
        asked = "above 0" if runtime.device == "cuda" else "0"
        raise UserError(
            "runtime.device: should be auto on a cluster, where Ray says which GPU"
            if ":" in runtime.device
            else f"--gpus-per-worker: should be {asked}, because runtime.device is {runtime.device}"
        )
    return runtime.model_copy(update={"device": device})
