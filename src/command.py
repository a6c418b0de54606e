"""What every stage and command does around its work: one line on bad input, a clean end."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from src.errors import UserError


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
