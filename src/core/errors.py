"""The exception whose message is written for the person at the prompt, and how errors are shown."""

import errno
import os
import sys
import traceback

from src.core.terminal import coloured

# What the machine refuses, not what we got wrong: the message names the file.
REFUSALS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EISDIR, errno.ENOTDIR, errno.EMFILE, errno.EIO),
)


class UserError(ValueError):
    """Bad input: the message is one line that names the file or key and what would be right."""


def is_refusal(error: BaseException) -> bool:
    """Whether bad input, or a full or protected disk, is the cause: no bug, so one line will do."""
    return isinstance(error, UserError) or (isinstance(error, OSError) and error.errno in REFUSALS)


def first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]


def one_line(error: BaseException) -> str:
    """A UserError's message; of any other error its type and the first line of its message."""
    first = first_line(error)
    return first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"


def warn(sentence: str) -> None:
    """Tell the person at the prompt what they may not have meant; the work goes on."""
    from tqdm import tqdm  # imported here, so that --help is fast

    # Not by print, which would write into a bar.
    tqdm.write(f"{coloured('warning:', 'yellow', sys.stderr)} {sentence}", file=sys.stderr)


def trace(error: BaseException) -> str:
    """The traceback, with the errors that caused this one."""
    return "".join(traceback.format_exception(error))


def debugging() -> bool:
    """Whether a UserError shows its traceback, too: --debug, or IDXFLOW_DEBUG=1."""
    return os.environ.get("IDXFLOW_DEBUG", "0") not in ("", "0")
