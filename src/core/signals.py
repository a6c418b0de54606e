"""Ctrl-C, held back until nothing is half done."""

import signal
from types import FrameType, TracebackType
from typing import Self


class Interruption:
    """In its block, Ctrl-C and SIGTERM wait for the next `check`; the second time they do not.

    Raised wherever the work just is, they could leave a database in the middle of a change.
    """

    def __init__(self) -> None:
        self._came: signal.Signals | None = None

    def __enter__(self) -> Self:
        self._handlers = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise what the signal would have raised, if one came."""
        came, self._came = self._came, None
        if came is not None:
            self._restore()
            signal.raise_signal(came)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._came = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
