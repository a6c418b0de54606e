import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PROGRAM = """\
from src.core.cli import Parser, run
from src.core.errors import UserError
Parser(prog="program", description="").parse_args()
def main():
    try:
        {}["key"]
    except KeyError as cause:
        {failure}
run(main)
"""


def failing(failure: str, *arguments: str, **env: str) -> str:
    """What a command prints on stderr that fails like this."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{failure}", failure), *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr


def test_a_refusal_is_one_line() -> None:
    assert failing("raise UserError('file: wrong') from cause") == "error: file: wrong\n"


@pytest.mark.parametrize(("arguments", "debug"), [(["--debug"], "0"), ([], "1")])
def test_debug_shows_the_traceback_of_a_refusal_and_its_cause(
    arguments: list[str], debug: str
) -> None:
    printed = failing("raise UserError('wrong') from cause", *arguments, IDXFLOW_DEBUG=debug)
    assert "KeyError: 'key'" in printed
    assert "direct cause" in printed
    assert printed.endswith("error: wrong\n")


def test_a_terminal_that_lacks_a_letter_shows_its_code() -> None:
    printed = failing("raise UserError('classes.txt: 猫')", PYTHONIOENCODING="ascii")
    assert printed == "error: classes.txt: \\u732b\n"


def test_a_bug_keeps_its_traceback() -> None:
    printed = failing("raise")
    assert "Traceback (most recent call last)" in printed
    assert printed.endswith("KeyError: 'key'\n")


def test_a_full_disk_is_one_line_and_a_missing_file_of_ours_a_bug() -> None:
    full = failing("import errno; raise OSError(errno.ENOSPC, 'No space left', 'out.csv')")
    assert full == "error: [Errno 28] No space left: 'out.csv'\n"
    assert "Traceback" in failing("open('/nowhere')")


def test_a_reader_that_has_had_enough_leaves_no_traceback() -> None:
    """As in `... --json | head`."""
    code = "from src.core.cli import run; run(lambda: ['x' * 1000] * 1000, as_json=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
