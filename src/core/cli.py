"""Arguments of the commands, and what every stage and command does around its work."""

import argparse
import re
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Literal, NoReturn

from src.core.errors import UserError


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message.removeprefix('argument ')} (see --help)\n")


def count(text: str) -> int:
    """A whole number of at least 1."""
    if re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        return int(text)
    raise argparse.ArgumentTypeError(f"should be a whole number of at least 1, not {text!r}")


def seed(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,10}", text) and int(text) < 2**32:
        return int(text)
    raise argparse.ArgumentTypeError(f"should be a whole number below 2^32, not {text!r}")


def seconds(text: str) -> float:
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    raise argparse.ArgumentTypeError(f"should be a number of seconds, not {text!r}")


def name(text: str) -> str:
    """What may also be a file's name, of which a dot would begin the ending."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", text):
        return text
    raise argparse.ArgumentTypeError(
        f"should be letters, digits, dashes and underscores, not {text!r}"
    )


def labels(text: str) -> list[int | Literal["all"]]:
    """Numbers of labels per class, with commas between them."""
    if not re.fullmatch(r"(all|[1-9][0-9]{0,8})(,(all|[1-9][0-9]{0,8}))*", text):
        raise argparse.ArgumentTypeError(
            f"should be whole numbers of at least 1, or all, with commas between, not {text!r}"
        )
    found: list[int | Literal["all"]] = [
        "all" if part == "all" else int(part) for part in text.split(",")
    ]
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"should differ from each other, not {text}")
    return found


def run(main: Callable[[], object]) -> None:
    """Call `main`; bad input, a failing file system or an interruption ends in one line."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        main()
    except (UserError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def _terminate(signum: int, _frame: FrameType | None) -> NoReturn:
    # Raised rather than died of, so that an open tracking run is closed on the way out.
    raise SystemExit(128 + signum)
