"""What a process has in memory."""

import re
from pathlib import Path


def anonymous(process: int | str = "self") -> int:
    """RssAnon, in bytes: what is in memory, and in no file; 0 for a process that has ended."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) * 1024 if found else 0
