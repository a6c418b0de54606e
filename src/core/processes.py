"""Who does a piece of work, and whether that process is still there (on Linux)."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path


def this_process() -> dict[str, str]:
    """What tells this process from every other, also of other machines and containers."""
    started = _start(os.getpid())
    assert started is not None
    return {
        "host": platform.node(),
        # Machines may share a name, and containers a kernel: process ids are of a boot and a space.
        "process.space": f"{_boot()} {Path('/proc/self/ns/pid').readlink()}",
        "process.id": str(os.getpid()),
        "process.started": started,
    }


def is_local(identity: Mapping[str, str]) -> bool:
    """Whether the process is, or was, one that this process could see."""
    here = this_process()
    return all(identity.get(key) == here[key] for key in ("host", "process.space"))


def is_of_earlier_boot(identity: Mapping[str, str]) -> bool:
    """Whether the process was one of a machine of this name, which has been started anew since."""
    same_name = identity.get("host") == platform.node()
    return same_name and not identity.get("process.space", "").startswith(_boot())


def is_alive(identity: Mapping[str, str]) -> bool:
    """Whether a local process still works."""
    # An id that was given to another process since comes with another start.
    return _start(int(identity["process.id"])) == identity["process.started"]


def _start(pid: int) -> str | None:
    """When a process began, in clock ticks since the boot: no change of the clock moves it.

    None for one that is gone, or killed and only not yet missed by its parent.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc(5): the fields after the name, which is in brackets and may hold anything.
    state, *fields = status.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
