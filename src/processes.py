"""Who does a piece of work, and whether that process is still there."""

import platform
from collections.abc import Mapping

import psutil


def this_process() -> dict[str, str]:
    """What tells this process from every other."""
    process = psutil.Process()
    return {
        "host": platform.node(),
        "process.id": str(process.pid),
        "process.started": str(process.create_time()),
    }


def is_local(identity: Mapping[str, str]) -> bool:
    """Whether the process is, or was, one of this machine."""
    return identity.get("host") == platform.node()


def is_alive(identity: Mapping[str, str]) -> bool:
    """Whether a process of this machine still works."""
    try:
        process = psutil.Process(int(identity["process.id"]))
        started = process.create_time()
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return False  # killed, but not yet missed by its parent
    except (psutil.NoSuchProcess, KeyError):
        return False
    same: bool = abs(started - float(identity["process.started"])) < 1
    return same  # else the id now belongs to another process
