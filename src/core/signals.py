"""Delays Ctrl-C and SIGTERM until it is safe to stop."""

import signal
from types import FrameType
from typing import Self


class Interruption:
    """Within the block, the first Ctrl-C or SIGTERM takes effect at the next `check`.

    A second one takes effect at once. Without the delay, the exception could be raised in the
    middle of a change to a database. The end of the block checks, too.
    """

    def __init__(self) -> None:
        self._received: signal.Signals | None = None

    def __enter__(self) -> Self:
        self._handlers = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._restore()
        if error is None:
            self.check()

    def check(self) -> None:
        """Let a signal that was received take effect, by the handler from before the block."""
        received, self._received = self._received, None
        if received is not None:
            self._restore()
            signal.raise_signal(received)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._received = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
