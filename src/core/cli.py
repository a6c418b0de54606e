"""Arguments of the commands, and what every stage and command does around its work."""

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from types import FrameType
from typing import Any, Literal, NoReturn

from src.core.errors import UserError, debugging, is_refusal, trace
from src.core.terminal import coloured, show_any_character

# Of one thread each, unless told otherwise: with more than 8, they would wait for the command.
WORKERS = min(8, len(os.sched_getaffinity(0)))
ONE_THREAD_EACH = "with one thread each (default: one per CPU, at most 8)"


class _Debug(argparse.Action):
    """Sets the environment's variable, so that worker processes and stages see it, too."""

    def __call__(self, *_: object) -> None:
        os.environ["IDXFLOW_DEBUG"] = "1"


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the arguments; has --debug."""

    def __init__(self, prog: str, description: str) -> None:
        show_any_character()
        super().__init__(prog=prog, description=description)
        debug = "show the traceback of a refusal, too (also IDXFLOW_DEBUG=1)"
        self.add_argument("--debug", action=_Debug, nargs=0, help=debug)

    def add_workers(self, default: int, notes: str) -> None:
        """--workers. notes: their threads and the default, in words."""
        self.add_argument(
            "--workers",
            type=count,
            default=default,
            metavar="N",
            help=f"training processes at a time, {notes}",
        )

    def add_json(self) -> None:
        """--json, for `run`."""
        self.add_argument(
            "--json",
            action="store_true",
            help="print the results as one JSON document on stdout, and all else on stderr",
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{_error()} {message.removeprefix('argument ')} (see --help)\n")


def count(text: str) -> int:
    """A whole number of at least 1."""
    if re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        return int(text)
    raise argparse.ArgumentTypeError(f"should be a whole number of at least 1, not {text!r}")


def port(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) and 0 < int(text) < 2**16:
        return int(text)
    raise argparse.ArgumentTypeError(f"should be a port from 1 to 65535, not {text!r}")


def seed(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,10}", text) and int(text) < 2**32:
        return int(text)
    raise argparse.ArgumentTypeError(f"should be a whole number below 2^32, not {text!r}")


def seconds(text: str) -> float:
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    raise argparse.ArgumentTypeError(f"should be a number of seconds, not {text!r}")


def name(text: str) -> str:
    """A name that is also a file's name; a dot would begin its suffix."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", text):
        return text
    raise argparse.ArgumentTypeError(
        f"should be letters, digits, dashes and underscores, not {text!r}"
    )


def one_of(known: Sequence[str]) -> Callable[[str], str]:
    """The type of an argument that is one of these words."""

    def parse(text: str) -> str:
        if text in known:
            return text
        raise argparse.ArgumentTypeError(f"should be one of {', '.join(known)}, not {text!r}")

    return parse


def labels(text: str) -> list[int | Literal["all"]]:
    """Numbers of labels per class, separated by commas."""
    if not re.fullmatch(r"(all|[1-9][0-9]{0,8})(,(all|[1-9][0-9]{0,8}))*", text):
        raise argparse.ArgumentTypeError(
            f"should be whole numbers of at least 1, or all, separated by commas, not {text!r}"
        )
    found: list[int | Literal["all"]] = [
        "all" if part == "all" else int(part) for part in text.split(",")
    ]
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"should differ from each other, not {text}")
    return found


def run(main: Callable[[], object], as_json: bool = False) -> None:
    """Call `main`; bad input, a full or protected disk, or an interruption ends in one line.

    Any other error is a bug, and keeps its traceback. as_json: what is printed goes to stderr, and
    what `main` returns to stdout.
    """
    show_any_character()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with redirect_stdout(sys.stderr if as_json else sys.stdout):
            document = main()
        if as_json:
            print(as_document(document))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except (UserError, OSError) as error:
        if not is_refusal(error):
            raise
        shown = trace(error) if debugging() else ""
        sys.exit(f"{shown}{_error()} {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def _error() -> str:
    return coloured("error:", "red", sys.stderr)


def as_document(document: Any) -> str:
    """As JSON, which knows no NaN and no infinity: null is in their place."""
    told = json.dumps(document)
    return json.dumps(json.loads(told, parse_constant=lambda _: None), indent=2)


def _terminate(signum: int, _frame: FrameType | None) -> NoReturn:
    # Raised rather than died of, so that an open tracking run is closed on the way out.
    raise SystemExit(128 + signum)
