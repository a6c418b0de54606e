"""What people see: commands in pseudo-terminals of their own, and in pipes."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from tests.conftest import ROOT

TABLE = """\
Mean of 5 seeds ± half-width.

| labels per class   | 0          | 1          | 5          |
|:-------------------|:-----------|:-----------|:-----------|
| zero-shot          | 88.3 ± 3.1 |            |            |
| discriminative     |            | 94.8 ± 1.3 | 98.3 ± 2.1 |
"""
PROGRAM = f"""\
from src.core.cli import Parser, run
from src.core.console import Console, Progress, tables
from src.core.errors import UserError, warn
from src.core.progress import Ended, Epoch
from src.core.terminal import wrapped

Parser(prog="program", description="").parse_args()
SEEN = {{"kept_val_loss": 0.5, "target_test_accuracy": 0.9, "source_test_accuracy": 0.8}}

def main():
    with Console("finetune", 10, 5000) as console:
        console.on_batch(5000)
        console.on_epoch(Epoch(10, 0.1, 0.2, 0.9, 0.1, 12345.6))
    long = "seed-0-discriminative-all"
    with Progress("transfer", ["fold-1", long], 4) as progress:
        progress.on_epoch(long, None)
        warn("MLflow is away")
        progress.on_end(Ended(long, "complete", metrics=SEEN))
        progress.on_end(Ended("fold-1", "pruned", reason="worse than others"))
        progress.on_end(Ended("fold-2", "failed", reason="a reason of many words, " * 3 + "told"))
    print(tables({TABLE!r}))
    print(wrapped("half-width " * 15))
    raise UserError("wrong")

run(main)
"""
LIVE = {"TERM": "xterm", "CI": "", "NO_COLOR": "", "COLUMNS": ""}


def piped(**env: str) -> str:
    """What the program prints into a pipe, stderr included."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, **LIVE, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    return done.stdout


def shown(columns: int = 80, /, **env: str) -> str:
    """What the program writes to a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, **LIVE, **env},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 1 << 16):
            written += piece
    except OSError:  # so Linux tells that the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 1
    return written.decode()


def rows(written: str) -> list[str]:
    """All rows that were ever to be seen, without colour."""
    return [re.sub(r"\x1b\[\d*[mA]", "", row).rstrip() for row in re.split(r"[\r\n]+", written)]


def test_a_terminal_has_colour() -> None:
    written = shown()
    for coloured in (
        "\x1b[31merror:\x1b[0m wrong",
        "\x1b[33mwarning:\x1b[0m MLflow is away",
        "discriminative-all \x1b[32mcomplete\x1b[0m  val loss",
        "fold-1                      \x1b[2mpruned\x1b[0m  worse",
        "\x1b[31mfailed\x1b[0m",
    ):
        assert coloured in written


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"CI": "true"}, {"TERM": "dumb"}], ids=str)
def test_there_is_no_colour_where_it_is_not_wanted(env: dict[str, str]) -> None:
    assert "\x1b[" not in shown(**env).replace("\x1b[A", "")


@pytest.mark.parametrize("columns", [80, 40])
def test_bars_fit_the_terminal_and_tell_the_time_left(columns: int) -> None:
    bars = [row for row in rows(shown(columns)) if row.endswith(" left")]
    assert {row.split()[0] for row in bars} == {"finetune", "transfer"}
    assert all(("█" in row) == (columns == 80) for row in bars if "1/4" in row)
    assert max(map(len, bars)) <= columns


@pytest.mark.parametrize("env", [{"CI": "true"}, {"TERM": "dumb"}], ids=str)
def test_a_log_has_no_bars(env: dict[str, str]) -> None:
    assert " left" not in shown(**env)
    assert " left" not in piped(**env)


@pytest.mark.parametrize(("columns", "env"), [(80, {}), (40, {}), (80, {"COLUMNS": "40"})], ids=str)
def test_lines_are_broken_between_fields_where_the_terminal_ends(
    columns: int, env: dict[str, str]
) -> None:
    found = rows(shown(columns, CI="true", **env))
    assert max(map(len, found)) <= int(env.get("COLUMNS", columns))
    for field in ("val loss 0.5000", "target test 90.00%", "accuracy 0.9000", "| 98.3 ± 2.1 |"):
        assert any(field in row for row in found), field
    assert any(row.endswith("half-width half-width") for row in found)
    assert not any(row.endswith("half-") for row in found)
    if columns == 80 and not env:
        assert "finetune 10/10  loss 0.1000  val loss 0.2000  accuracy 0.9000  12,346 images/s" in (
            found
        )


def test_what_no_width_can_hold_is_a_list() -> None:
    found = rows(shown(20, CI="true"))
    assert max(map(len, found[found.index("labels per class:") :])) <= 20
    assert "5: 98.3 ± 2.1" in found


def test_a_pipe_has_a_line_for_each_training_and_whole_tables() -> None:
    printed = piped(COLUMNS="40")
    assert "\x1b" not in printed
    assert (
        "seed-0-discriminative-all complete  val loss 0.5000  target test 90.00%  "
        "source test 80.00%\n" in printed
    )
    assert TABLE in printed


def test_a_terminal_without_the_letters_has_a_bar_and_aligned_tables() -> None:
    written = shown(PYTHONIOENCODING="ascii")
    assert written.isascii()
    assert "\\x" not in written
    assert any(re.search(r"25% \d*#+", row) for row in rows(written))
    table = [row for row in rows(written) if row.startswith("|")]
    assert "| zero-shot          | 88.3 +-3.1 |            |            |" in table
    assert len({len(row) for row in table}) == 1


def test_with_json_stdout_has_one_document_and_no_number_that_is_none() -> None:
    program = (
        "import math; from src.core.cli import run\n"
        "def main():\n"
        "    print('for people')\n"
        "    return {'p': math.nan, 'rows': [{'high': math.inf, 'n': 1.5}]}\n"
        "run(main, as_json=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"p": None, "rows": [{"high": None, "n": 1.5}]}
    assert "NaN" not in done.stdout
    assert done.stderr == "for people\n"
