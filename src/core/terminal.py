"""What the terminal can show: whether it has colour, how wide it is, which letters it has."""

import codecs
import io
import os
import sys
import textwrap
from typing import TextIO

COLOURS = {"red": 31, "green": 32, "yellow": 33, "dim": 2}
WIDEST = 100  # columns beyond which text is hard to read
NBSP = "\xa0"  # the no-break space, between words that stay in one line
SPELLED = {"±": "+-", "→": "->", "…": "..."}


def is_live(stream: TextIO) -> bool:
    """Whether a person watches the stream: no pipe, no log of a CI, no terminal without colour."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return stream.isatty() and not in_ci and os.environ.get("TERM") != "dumb"


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """The text in that colour if the stream is live and NO_COLOR (no-color.org) is not set."""
    if not is_live(stream) or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{COLOURS[colour]}m{text}\033[0m"


def width(stream: TextIO) -> int | None:
    """The columns of the stream's terminal, or COLUMNS instead; None for a file or a pipe."""
    if not stream.isatty():
        return None
    told = os.environ.get("COLUMNS", "")
    return int(told if told.isdecimal() else 0) or os.get_terminal_size(stream.fileno()).columns


def wrapped(text: str, indent: str = "") -> str:
    """Each line of the text, on a terminal as several lines if it is wider.

    indent: before all but the first of them. A word is not broken, nor is what NBSP joins.
    """
    lines = text.split("\n")
    if columns := width(sys.stdout):
        lines = [
            textwrap.fill(
                line,
                min(columns, WIDEST),
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
            for line in lines
        ]
    return "\n".join(lines).replace(NBSP, " ")


def show_any_character() -> None:
    """A letter that a terminal lacks is spelled or shown as its code, and ends no command."""
    codecs.register_error("spelled", _spell)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="spelled")


def _spell(error: UnicodeError) -> tuple[str, int]:
    """As encode's error handler: the next letter, spelled, and where to go on."""
    assert isinstance(error, UnicodeEncodeError)
    letter, end = error.object[error.start], error.start + 1
    if letter not in SPELLED:
        return letter.encode("ascii", "backslashreplace").decode(), end
    # The space after it gives way, so that the columns of a table stay where they are.
    spelled = SPELLED[letter]
    spaces = error.object[end : end + len(spelled) - 1]
    return spelled, end + (len(spaces) if spaces and not spaces.strip(" ") else 0)
