import subprocess
import sys
from collections.abc import Iterator

import pytest

from src.core.processes import is_alive, is_local, this_process


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A process that lives until its stdin is closed, and its identity."""
    code = "from src.core.processes import this_process; print(this_process(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, eval(process.stdout.readline())  # noqa: S307  # of our own making
        process.kill()


def test_a_process_lives_until_it_is_killed(
    other: tuple[subprocess.Popen[str], dict[str, str]],
) -> None:
    process, identity = other
    assert is_local(identity)
    assert is_alive(identity)
    process.kill()
    process.poll()  # before and after it is waited for
    while is_alive(identity):
        pass
    process.wait()
    assert not is_alive(identity)


def test_an_id_that_was_given_anew_is_another_process() -> None:
    assert is_alive(this_process())
    assert not is_alive({**this_process(), "process.started": "1"})


@pytest.mark.parametrize("key", ["host", "process.space"])
def test_processes_of_other_machines_and_containers_are_not_local(key: str) -> None:
    assert not is_local({**this_process(), key: "elsewhere"})
    assert not is_local({})
