"""Files from public mirrors: downloaded once, and accepted only if their checksum is right."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pooch
from requests import RequestException

from src.core.errors import UserError
from src.core.paths import root


def fetch(name: str, checksum: str, addresses: tuple[str, ...], downloads: Path) -> Path:
    """The verified file, kept in `downloads`, from the first address that has it.

    checksum: `sha256:...` or `md5:...`, of its contents. The folder or address in DATA_MIRROR is
    tried first, there as `<the last part of downloads>/name`, then as `name`. Raises UserError if
    no mirror has the file with the right contents.
    """
    failures = []
    for mirror in [*_own(downloads.name), *addresses]:
        try:
            return _fetch_from(mirror, name, checksum, downloads)
        except (RequestException, ValueError, OSError) as error:
            failures.append(f"{mirror} ({_reason(error)})")
    raise UserError(
        f"{name}: no mirror had it: {'; '.join(failures)}. "
        "DATA_MIRROR can name a folder or an http(s) address that has"
    )


def _own(dataset: str) -> Iterator[str]:
    if own := os.environ.get("DATA_MIRROR"):
        # A relative path starts at the repository's root, also in DVC's temporary copies of it.
        mirror = own.rstrip("/") if _is_remote(own) else str(root() / own)
        yield from (f"{mirror}/{dataset}", mirror)


def _fetch_from(mirror: str, name: str, checksum: str, downloads: Path) -> Path:
    """The file under `downloads`; pooch gives it this name only once its checksum is right."""
    print(f"fetching {mirror}/{name}", file=sys.stderr)
    pooch.get_logger().setLevel("WARNING")
    remote = _is_remote(mirror)
    files = pooch.create(
        path=downloads,
        base_url=f"{mirror}/",
        registry={name: checksum},
        retry_if_failed=1 if remote else 0,
    )
    bar = sys.stderr.isatty()
    downloader = pooch.HTTPDownloader(timeout=30, progressbar=bar) if remote else _copy
    return Path(files.fetch(name, downloader=downloader))


def _is_remote(mirror: str) -> bool:
    return mirror.startswith(("http://", "https://"))


def _copy(source: str, target: str, _files: pooch.Pooch) -> None:
    shutil.copyfile(source, target)


def _reason(error: Exception) -> str:
    if isinstance(error, RequestException):
        response = error.response
        return f"HTTP {response.status_code}" if response is not None else type(error).__name__
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "its checksum is wrong"
