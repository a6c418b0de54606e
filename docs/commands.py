"""What can be run: the commands with their arguments, and the targets of the Makefile."""

import argparse
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

from docs.markdown import table
from src.core.cli import Parser

ROOT = Path(__file__).parents[1]
BY_MAKE = {"src.check_params", "src.close_runs", "src.ui"}  # and by nobody else
OF_ALL = {"--help", "--debug"}  # told once, not with each command


class _Made(Exception):  # noqa: N818  # no error: it brings the parser out of the command
    def __init__(self, parser: Parser) -> None:
        self.parser = parser


def commands() -> str:
    """A section for each module that can be run."""
    return "\n\n".join(_command(name, path) for name, path in sorted(_modules()))


def targets() -> str:
    found = re.findall(r"^([a-z]+):.*?## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return table(("target", "what it does"), [(f"`make {name}`", does) for name, does in found])


def _modules() -> Iterator[tuple[str, Path]]:
    for path in ROOT.glob("src/**/*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__main__")
        if '__name__ == "__main__"' in path.read_text() and name not in BY_MAKE:
            yield name, path


def _command(name: str, path: Path) -> str:
    parser = _parser(path)
    rows = [
        (f"`{_spelled(action)}`", (action.help or "") % {**vars(action), "prog": parser.prog})
        for action in parser._actions
        if not OF_ALL & {*action.option_strings}
    ]
    parts = [f"### `python -m {name}`", parser.description or ""]
    return "\n\n".join([*parts, *([table(("argument", "meaning"), rows)] if rows else [])])


def _parser(path: Path) -> Parser:
    """The parser of a command, which goes no further."""

    def stop(parser: Parser, *_: object) -> NoReturn:
        raise _Made(parser)

    with patch.object(Parser, "parse_args", stop):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except _Made as made:
            return made.parser
    raise AssertionError(f"{path}: makes no Parser")


def _spelled(action: argparse.Action) -> str:
    """As at the prompt: `--model PATH`, `FILE ...`, `[NAME]`."""
    value = "" if action.nargs == 0 else str(action.metavar or action.dest)
    shown = " ".join(filter(None, [", ".join(action.option_strings), value]))
    return {"+": f"{shown} ...", "*": f"[{shown} ...]", "?": f"[{shown}]"}.get(
        str(action.nargs), shown
    )
