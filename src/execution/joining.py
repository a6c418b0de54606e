"""Join a Ray cluster, or say within seconds why that cannot be.

Ray itself may wait for minutes for a head that does not answer, and cannot be interrupted then: a
process of its own tries it first.
"""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import IO, Any

import ray

from src.core.errors import UserError, first_line
from src.execution.local import importing

LIMIT = 30.0  # seconds within which the cluster must be joined
TRY = "import sys; from src.execution.joining import probe; probe(sys.argv[1])"
OTHER = (
    "the cluster has another token: ~/.ray/auth_token should be that of its head, and "
    "RAY_AUTH_MODE=token set"
)


def join(cluster: str, check: Callable[[], None]) -> str:
    """Join a cluster, or start the local one; returns the address of its head.

    cluster: auto, local or host:port; check: called meanwhile, may raise. Raises UserError.
    """
    local: dict[str, Any] = {
        "include_dashboard": False,
        "num_cpus": len(os.sched_getaffinity(0)),
        "_node_ip_address": "127.0.0.1",
    }
    address = cluster if cluster == "local" else _found(cluster, check)
    handler = signal.getsignal(signal.SIGTERM)
    mask = os.umask(0o077)  # it may write a token, which is a key
    try:
        return _init(address, **(local if cluster == "local" else {}))
    except Exception as error:  # of many types
        raise UserError(f"--cluster {cluster}: {_said(error)}") from error
    finally:
        os.umask(mask)
        signal.signal(signal.SIGTERM, handler)  # Ray sets its own


def probe(cluster: str) -> None:
    """Join and leave; print a JSON document: the head's address, or what an error is and says."""
    try:
        answer = {"head": _init(cluster)}
        ray.shutdown()
    except Exception as error:  # of many types: no cluster, another Ray or Python, no permission
        answer = {"type": type(error.__cause__ or error).__name__, "said": _said(error)}
    print(json.dumps(answer))


def _init(address: str, **more: Any) -> str:
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **more)
    return str(ray.get_runtime_context().gcs_address)


def _said(error: Exception) -> str:
    """What an error of Ray says, in one line."""
    lines = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
    return lines[-1 if "Traceback" in lines[0] else 0]  # some show one in their message


def _found(cluster: str, check: Callable[[], None]) -> str:
    """The address of the head of a cluster that lets this machine in."""
    with TemporaryFile() as answered, TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-c", TRY, cluster],
            stdout=answered,
            stderr=log,
            env=importing(),
            start_new_session=True,  # Ctrl-C must reach the command alone
        )
        try:
            _wait(process, log, cluster, check)
        finally:
            process.kill()
            process.wait()
        # Among what Ray prints.
        answer = [line for line in _content(answered).splitlines() if line.startswith("{")]
        match json.loads(answer[-1] if answer else "{}"):
            case {"head": str(head)}:
                return head
            case {"type": "AuthenticationError"}:
                raise UserError(f"--cluster {cluster}: {OTHER}")
            case {"type": "ConnectionError"} if cluster == "auto":
                raise UserError("--cluster auto: this machine belongs to no Ray cluster")
            case {"said": str(said)}:
                raise UserError(f"--cluster {cluster}: {said}")
        raise UserError(f"--cluster {cluster}: {first_line(_content(log))}")


def _wait(
    process: "subprocess.Popen[bytes]", log: IO[bytes], cluster: str, check: Callable[[], None]
) -> None:
    """Until the process has ended; UserError if it would try again and again."""
    begun = time.monotonic()
    while process.poll() is None:
        time.sleep(0.1)
        check()
        told = _content(log)
        if "Unauthenticated" in told:
            raise UserError(f"--cluster {cluster}: {OTHER}")
        if time.monotonic() - begun > LIMIT:
            asked = re.search(r"GCS at address (\S+)", told)
            where = f"; Ray asks at {asked[1]}" if asked else ""
            raise UserError(
                f"--cluster {cluster}: not joined within {LIMIT:.0f} seconds: no head of a Ray "
                f"cluster answers{where}, or this machine is no node of it"
            )


def _content(file: IO[bytes]) -> str:
    """What another process has written so far. It shares the position in the file: no seek."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace")
