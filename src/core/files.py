"""Files that are written whole or not at all, and locks that say whom they wait for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; it is renamed to `path` if the block raises nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with named_on_failure(path):
            yield partial
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def named_on_failure(path: Path) -> Iterator[None]:
    """Let the system's error name the path where it names none: as of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_text(text: str, path: Path) -> None:
    """Write a text file, whole or not at all."""
    with written_whole(path) as partial:
        partial.write_text(text, "utf-8")


def write_bytes(content: bytes, path: Path) -> None:
    """Write a file, whole or not at all."""
    with written_whole(path) as partial:
        partial.write_bytes(content)


@contextmanager
def waited_for(
    lock: Path, holder: str, meanwhile: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Hold a lock for the length of the block; says who holds it if that takes time.

    meanwhile: called once a second while waiting; an exception from it ends the wait.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        print(f"Waiting for {holder}.", flush=True)
    while not held.is_locked:
        meanwhile()
        with suppress(Timeout):
            held.acquire(timeout=1)
    try:
        yield
    finally:
        held.release()
