"""A Ray cluster of our own on 127.0.0.1, whose nodes can be killed and brought back."""

import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager, suppress
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

STORE = 80 << 20  # bytes of memory for the objects of a node


def surroundings(folder: str) -> dict[str, str]:
    """What the processes of the cluster and its drivers find in their environment."""
    return {
        "RAY_TMPDIR": folder,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "of-the-tests" * 4,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # with this it listens on 127.0.0.1 alone
    }


class Cluster:
    """Nodes by name; the one called head has no CPU for workers. They are in `checkout`."""

    def __init__(self, checkout: Path) -> None:
        from ray.cluster_utils import Cluster as Made

        self._made, self._nodes, self._checkout = Made(), dict[str, Any](), checkout
        self.add("head", cpus=0)

    @property
    def address(self) -> str:
        return str(self._made.address)

    def add(self, name: str, cpus: int = 1, gpus: int = 0, checkout: Path | None = None) -> None:
        """Start a node, as `ray start` in a checkout would."""
        with chdir(checkout or self._checkout):
            self._nodes[name] = self._made.add_node(
                node_ip_address="127.0.0.1",
                node_name=name,
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=False,
                object_store_memory=STORE,
            )

    def kill(self, name: str) -> None:
        """Kill all processes of a node by SIGKILL, as when its machine loses power."""
        for process in self.processes(name):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for started in self._started(name):
            started.process.wait()
        del self._nodes[name]

    def processes(self, name: str) -> list[psutil.Process]:
        """Those of a node, and of the workers on it."""
        found = []
        for started in self._started(name):
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(started.process.pid)
                found += [process, *process.children(recursive=True)]
        return found

    def _started(self, name: str) -> list[Any]:
        return [*chain.from_iterable(self._nodes[name].all_processes.values())]

    def close(self) -> None:
        for name in [*self._nodes]:
            self.kill(name)


@contextmanager
def ray_cluster(checkout: Path) -> Iterator[Cluster]:
    """A head and no other node; the test is skipped without Ray, but not where CI promises it."""
    if find_spec("ray") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Ray: not installed; .ci/run installs it")
        pytest.skip("Ray is not installed; `make cluster` installs it")
    # Not below pytest's folders: the paths of sockets would be too long.
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for variable, value in surroundings(folder).items():
            patch.setenv(variable, value)
        made = Cluster(checkout)
        try:
            yield made
        finally:
            made.close()
