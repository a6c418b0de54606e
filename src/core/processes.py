"""Which process does a piece of work, and whether it is still alive (on Linux)."""

import platform
from collections.abc import Mapping
from pathlib import Path

import psutil


def this_process() -> dict[str, str]:
    """Identifies this process among all, including those of other machines and containers."""
    return {
        "host": platform.node(),
        # Machines may share a name, and containers a kernel: a process id belongs to one boot and
        # one namespace.
        "process.space": f"{_boot()} {Path('/proc/self/ns/pid').readlink()}",
        "process.id": str(psutil.Process().pid),
        "process.started": _started(psutil.Process()),
    }


def is_local(identity: Mapping[str, str]) -> bool:
    """Whether the process is, or was, one that this process could see."""
    here = this_process()
    return all(identity.get(key) == here[key] for key in ("host", "process.space"))


def is_alive(identity: Mapping[str, str]) -> bool:
    """Whether a local process is still running."""
    try:
        process = psutil.Process(int(identity["process.id"]))
        # A zombie was killed, and its parent has not noticed yet.
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return False
        # An id that was given to another process comes with another start. Ids are not given anew
        # within seconds, and two readings of the clock may differ by one.
        return abs(float(_started(process)) - float(identity["process.started"])) < 2
    except psutil.NoSuchProcess:
        return False


def _started(process: psutil.Process) -> str:
    """When a process began, in seconds since the boot: no change of the clock moves it."""
    return f"{process.create_time() - psutil.boot_time():.2f}"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
