"""Workers on the nodes of a Ray cluster: for each an actor, which holds a worker of its node."""

import atexit
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Self

import ray
from ray.exceptions import RayError, RayTaskError

from src.core.cli import Workers
from src.core.errors import UserError, first_line, one_line, warn
from src.core.ports import answers
from src.core.progress import Epoch
from src.core.signals import Interruption
from src.execution.executor import Lost, Outcome, RemoteError, Setup, WorkerError
from src.execution.joining import join
from src.execution.scheduler import MAX_TRIES
from src.tracking.provenance import environment
from src.training.jobs import Job

LOOK_INTERVAL = 1.0  # seconds between two looks at which nodes there are
PATIENCE = 20.0  # seconds without a worker after which a line says so
HEAD_TRIES = 3  # how often a silent head is asked


@dataclass(eq=False)
class _Slot:
    actor: Any
    call: Any  # the one that has not returned yet, if any
    node: str = ""  # its id, once the actor is placed on it
    ready: bool = False
    job: str | None = None


class Cluster:
    """An Executor of workers that Ray places on its nodes, as many as there are, or `count`.

    Nodes may join and leave. The image sets travel once to each, and again after a loss. A node
    that does not have the code, the lock and the Python of this process is left out, with a
    warning. check: called once the images are read, see `launched`. Within the block, Ctrl-C and
    SIGTERM are raised by `messages` only; leaving it ends the workers.
    """

    def __init__(self, workers: Workers, setup: Setup, check: Callable[[], None]) -> None:
        self._workers, self._setup, self._check = workers, setup, check
        self._interruption = Interruption()
        self._head: str | None = None  # its address, once this process has joined the cluster
        self._slots: list[_Slot] = []
        self._nodes: dict[str, str] = {}  # those that live, and may be used: their names by id
        self._left_out: dict[str, str] = {}  # why, by id
        self._images: list[Any] = []  # Ray's references to the contents of the image sets
        self._looked = self._had_worker = 0.0  # when, in seconds of time.monotonic()
        self._was_used = False
        self._stillborn = 0  # workers in a row that died before they were ready

    def __enter__(self) -> Self:
        self._interruption.__enter__()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._head and error and not answers(self._head):
            atexit.register(_leave_at_once)
        elif self._head:
            ray.shutdown()
        self._interruption.__exit__(kind, error, trace)

    @property
    def capacity(self) -> int:
        return sum(slot.ready for slot in self._slots)

    def submit(self, name: str, job: Job) -> None:
        slot = next(slot for slot in self._slots if slot.ready and slot.job is None)
        slot.job, slot.call = name, slot.actor.call.remote("begin", job)

    def answer(self, name: str, proceed: bool) -> None:
        (slot,) = (slot for slot in self._slots if slot.job == name)
        slot.call = slot.actor.call.remote("go_on", proceed)

    def messages(self, timeout: float) -> Iterator[tuple[str, Epoch | Outcome]]:
        if self._head is None:
            self._join()
        if time.monotonic() - self._looked > LOOK_INTERVAL:
            self._look_around()
        for slot in self._returned(timeout):
            call, slot.call = slot.call, None
            try:
                value = ray.get(call)
            except RayTaskError as error:
                yield from self._refused(slot, error)
            except RayError as error:  # the worker, its node, or the way to it
                yield from self._lost(slot, error)
            else:
                yield from self._received(slot, value)
        self._interruption.check()

    def _join(self) -> None:
        assert self._workers.cluster
        self._head = join(self._workers.cluster, self._interruption.check)
        self._here = environment()
        self._contents = [path.read_bytes() for path in self._setup.images.values()]
        self._check()
        self._had_worker = time.monotonic()
        if not self._workers.gpus and (gpus := ray.cluster_resources().get("GPU")):
            warn(f"the cluster has {gpus:g} GPUs, which --gpus-per-worker would use")

    def _look_around(self) -> None:
        """Ask for workers where there is room, and idle ones whether they live."""
        assert self._head
        self._looked = time.monotonic()
        if not _lives(self._head):
            raise UserError(
                f"{self._name}: its head at {self._head} is gone; call again with a new cluster: "
                "what is finished is kept"
            )
        found = [node for node in ray.nodes() if node["Alive"]]
        usable = [node for node in found if node["NodeID"] not in self._left_out]
        self._nodes = {node["NodeID"]: node["NodeName"] for node in usable}
        for slot in self._slots:
            if slot.ready and slot.call is None:  # so that the death of an idle one is noticed
                slot.call = slot.actor.ping.remote()
        room = sum(self._fits(node["Resources"]) for node in usable)
        for _ in range(min(self._workers.count or room, room) - len(self._slots)):
            self._slots.append(self._ask())
        self._check_for_workers(room)

    def _check_for_workers(self, room: int) -> None:
        """Raise UserError if no node will do; say so if it takes long."""
        if self.capacity:
            self._had_worker = time.monotonic()
            return
        late = time.monotonic() - self._had_worker > PATIENCE
        hopeless = late or self._left_out or self._workers.cluster == "local"
        if not room and not self._was_used and hopeless:
            why = next(iter(self._left_out.values()), f"none has {self._needs} for a worker")
            raise UserError(f"{self._name}: no node can be used; {why}")
        if late:
            self._had_worker = float("inf")  # once, until there was one again
            warn(f"{self._name}: waits for a node with {self._needs} to spare")

    @property
    def _name(self) -> str:
        return f"--cluster {self._workers.cluster}"

    @property
    def _demand(self) -> dict[str, float]:
        gpus = {"GPU": self._workers.gpus} if self._workers.gpus else {}
        return {"CPU": self._setup.runtime.threads, **gpus}

    @property
    def _needs(self) -> str:
        return " and ".join(f"{number:g} {kind}" for kind, number in self._demand.items())

    def _fits(self, resources: Mapping[str, float]) -> int:
        """How many workers fit on an empty node."""
        cpus = int(resources.get("CPU", 0) / self._demand["CPU"])
        if not (share := self._demand.get("GPU")):
            return cpus
        return min(cpus, int(resources.get("GPU", 0)) * int(1 / share))  # no share of two GPUs

    def _ask(self) -> _Slot:
        """A worker that Ray starts as soon as there is room for it."""
        selector = {"ray.io/node-id": f"!in({','.join(self._left_out)})"} if self._left_out else {}
        demand = self._demand
        options = {
            "num_cpus": demand["CPU"],
            "num_gpus": demand.get("GPU", 0),
            "max_restarts": 0,
            "label_selector": selector,
        }
        actor = _actor().options(**options).remote()
        return _Slot(actor, actor.look.remote())

    def _returned(self, timeout: float) -> list[_Slot]:
        """The slots whose calls return within `timeout` seconds."""
        calls = {slot.call: slot for slot in self._slots if slot.call is not None}
        if not calls:
            time.sleep(timeout)
            return []
        ray.wait([*calls], timeout=timeout)
        done, _ = ray.wait([*calls], num_returns=len(calls), timeout=0)
        return [calls[call] for call in done]

    def _received(self, slot: _Slot, value: Any) -> Iterator[tuple[str, Epoch | Outcome]]:
        if not slot.node:
            self._greet(slot, *value)
        elif slot.job is None:
            slot.ready = self._was_used = True
            self._stillborn = 0
        else:
            name = slot.job
            if not isinstance(value, Epoch):
                slot.job = None
            yield name, value

    def _greet(self, slot: _Slot, node: str, there: Mapping[str, str] | str) -> None:
        """Start the worker of an actor that has been placed on a node, if the node is as it must.

        there: the node's environment, or why it has none.
        """
        slot.node = node
        reason = there if isinstance(there, str) else self._difference(there)
        if reason:
            self._leave_out(slot, reason)
            return
        setup = replace(self._setup, images={}, node=self._nodes.get(node, node))
        if not self._images:
            self._images = [ray.put(content) for content in self._contents]
        slot.call = slot.actor.start.remote(setup, [*self._setup.images], *self._images)

    def _difference(self, there: Mapping[str, str]) -> str:
        """The first thing in which an environment differs from that of this process."""
        for name, value in self._here.items():
            if (other := there.get(name)) != value:
                detail = " differs" if "/" in name or "." in name else f" is {other}, here {value}"
                return f"{name}{detail}; its checkout and environment should be the same"
        return ""

    def _refused(self, slot: _Slot, error: RayTaskError) -> Iterator[tuple[str, Lost]]:
        """Leave out a node that cannot hold a worker; raise a bug of ours."""
        if slot.ready and not isinstance(error.cause, UserError):
            remote = RemoteError(str(error))
            raise WorkerError(f"node {self._nodes.get(slot.node)}: {error.cause}") from remote
        reason = one_line(error.cause)
        self._leave_out(slot, reason)
        if slot.job is not None:
            yield slot.job, Lost(reason)

    def _leave_out(self, slot: _Slot, reason: str) -> None:
        self._drop(slot)
        if slot.node in self._left_out:
            return  # another slot of the same node has said it
        name = self._nodes.pop(slot.node, slot.node)
        self._left_out[slot.node] = f"node {name}: {reason}"
        warn(f"node {name} is left out: {reason}")

    def _lost(self, slot: _Slot, error: RayError) -> Iterator[tuple[str, Lost]]:
        self._drop(slot)
        # Ray would look for them on a node that is gone, for up to minutes: they are put again.
        self._images = []
        if slot.job is not None:
            where = f" on node {name}" if (name := self._nodes.get(slot.node)) else ""
            yield slot.job, Lost(f"its worker{where} was lost")
        elif not slot.ready:
            self._stillborn += 1
            if self._stillborn >= MAX_TRIES and not self.capacity:
                said = first_line(error)
                raise UserError(f"{self._name}: {MAX_TRIES} workers died as they started: {said}")

    def _drop(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        ray.kill(slot.actor)  # one that is only out of reach would go on


def _leave_at_once() -> None:
    """The end of a process whose head is gone: Ray's own waits for a minute, or crashes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _lives(address: str) -> bool:
    """Whether the head answers. Ray itself waits a minute, and then ends this process."""
    for attempt in range(HEAD_TRIES):
        if attempt:
            time.sleep(LOOK_INTERVAL)
        if answers(address):
            return True
    return False


@cache
def _actor() -> Any:
    """The class of the actors.

    It is in a function because Ray sends such a class whole: any other is imported, which a node's
    process can do only when it knows where the checkout is.
    """

    class Actor:
        def look(self) -> tuple[str, dict[str, str] | str]:
            """The node's id, and its environment, or why it has none."""
            import os
            import sys

            import ray

            node = ray.get_runtime_context().get_node_id()
            try:
                if not os.path.exists("src/execution/relay.py"):  # noqa: PTH110
                    return node, f"`ray start` was not called in a checkout, but in {os.getcwd()}"  # noqa: PTH109
                sys.path.insert(0, os.getcwd())  # noqa: PTH109
                from src.tracking.provenance import environment

                return node, environment()
            except Exception as error:
                return node, f"{type(error).__name__}: {error}"

        def start(self, setup: Any, names: list[str], *images: bytes) -> None:
            from src.execution.relay import Relay

            self.relay = Relay(setup, dict(zip(names, images, strict=True)))

        def ping(self) -> None:
            """Returns."""

        def call(self, method: str, argument: Any) -> Any:
            return getattr(self.relay, method)(argument)

    return ray.remote(Actor)
