import os
import signal

import pytest

from src.core.signals import Interruption

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def _handlers() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def raised(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_a_signal_waits_for_the_check() -> None:
    with Interruption() as interruption:
        interruption.check()
        raised(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.check()


def test_a_signal_does_what_it_did_before() -> None:
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with Interruption() as interruption:
            raised(signal.SIGTERM)
            assert not seen
            interruption.check()
        assert seen == [signal.SIGTERM]
        raised(signal.SIGTERM)
        assert len(seen) == 2
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_second_signal_does_not_wait() -> None:
    with Interruption() as interruption:
        raised(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            raised(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.check()


def test_a_signal_that_nobody_checked_for_is_raised_at_the_end() -> None:
    with pytest.raises(KeyboardInterrupt), Interruption():
        raised(signal.SIGINT)
