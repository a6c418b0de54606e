"""The exception whose message is written for the person at the prompt, and how errors are shown."""

import os
import traceback


class UserError(ValueError):
    """Bad input: the message is one line that names the file or key and what would be right."""


def one_line(error: BaseException) -> str:
    """A UserError's message; of any other error its type and the first line of its message."""
    first = str(error).strip().partition("\n")[0]
    return first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"


def trace(error: BaseException) -> str:
    """The traceback, with the errors that caused this one."""
    return "".join(traceback.format_exception(error))


def debugging() -> bool:
    """Whether a UserError shows its traceback, too: --debug, or IDXFLOW_DEBUG=1."""
    return os.environ.get("IDXFLOW_DEBUG", "0") not in ("", "0")
