"""DVC's cache: contents by their MD5."""

import json
from pathlib import Path

from src.core.paths import root
from src.tracking import provenance


def cached(md5: str) -> Path | None:
    """A file with this content, or with the list of this folder's files; None if it is not whole.

    Of a folder, its list alone: its files are looked up one by one.
    """
    file = root() / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    whole = file.exists() and provenance.md5(file) == md5.removesuffix(".dir")
    return file if whole else None


def members(listed: Path) -> dict[str, str]:
    """The files of a folder, with their MD5, from its list."""
    return {member["relpath"]: member["md5"] for member in json.loads(listed.read_bytes())}
