"""Files from public mirrors: downloaded once, bounded in size and time, and verified.

A mirror is not trusted: what it sends is kept only if its checksum is right, and a redirection from
it leads neither to an unencrypted address nor into a private network.
"""

import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from socket import gaierror, getaddrinfo
from typing import TypeVar
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from src.core.console import bar
from src.core.errors import UserError, is_refusal
from src.core.files import written_whole
from src.core.paths import root
from src.core.secrets import without_secrets

T = TypeVar("T")

ANSWER = 20.0  # seconds in which a server should answer, and between two pieces of its answer
SLOWEST = 10_000  # bytes a second, on average over as many seconds
REDIRECTIONS = 5
PIECE = 1 << 16


class _NotSentError(Exception):
    """Why a mirror's file was not taken, in words."""


def fetch(name: str, checksum: str, most: int, addresses: tuple[str, ...], downloads: Path) -> Path:
    """The verified file, kept in `downloads`, from the first address that has it.

    checksum: `sha256:...` or `md5:...`, of its contents; most: bytes that it may have. The folder
    or address in DATA_MIRROR is tried first, there as `<the last part of downloads>/name`, then as
    `name`. Raises UserError if no mirror has the file with the right contents.
    """
    target, failures = downloads / name, []
    if target.exists() and _digest(target, checksum) == checksum:
        return target
    for mirror in [*_own(downloads.name), *addresses]:
        place = f"{mirror}/{name}"
        print(f"fetching {without_secrets(place)}", file=sys.stderr)
        for attempt in (1, 2):
            try:
                return _save(_pieces(place, most), checksum, target)
            except (_NotSentError, HTTPError, OSError, ValueError) as error:
                if is_refusal(error) and getattr(error, "filename", place) != place:
                    raise  # a full disk is no mirror's fault
                if attempt == 1 and _is_broken(error):
                    continue
                failures.append(f"{without_secrets(mirror)} ({_reason(error)})")
                break
    raise UserError(
        f"{name}: no mirror had it: {'; '.join(failures)}. "
        "DATA_MIRROR can name a folder or an http(s) address that has it"
    )


def _own(dataset: str) -> Iterator[str]:
    """The places that DATA_MIRROR names."""
    if own := os.environ.get("DATA_MIRROR"):
        scheme, separator, _ = own.partition("://")
        elsewhere = scheme.lower() == "file" and urlsplit(own).netloc not in ("", "localhost")
        if separator and (scheme.lower() not in ("http", "https", "file") or elsewhere):
            raise UserError(
                f"DATA_MIRROR: should be a folder or an http(s) address, not {without_secrets(own)}"
            )
        if scheme.lower() == "file" and separator:
            own = unquote(urlsplit(own).path)
        # A relative path starts at the repository's root, also in DVC's temporary copies of it.
        mirror = own.rstrip("/") if _is_remote(own) else str(root() / Path(own).expanduser())
        yield from (f"{mirror}/{dataset}", mirror)


def _is_remote(place: str) -> bool:
    return place.lower().startswith(("http://", "https://"))


def _save(pieces: Iterator[bytes], checksum: str, target: Path) -> Path:
    kind, _, right = checksum.partition(":")
    digest = hashlib.new(kind, usedforsecurity=False)
    with written_whole(target) as unverified:
        with unverified.open("wb") as file, closing(pieces):  # type: ignore[type-var]
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != right:
            raise _NotSentError("its checksum is wrong")
    return target


def _digest(path: Path, checksum: str) -> str:
    kind = checksum.partition(":")[0]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    return f"{kind}:{digest.hexdigest()}"


def _pieces(place: str, most: int) -> Iterator[bytes]:
    """The file's bytes as they are, at most `most`."""
    sent = 0
    for piece in _downloaded(place, most) if _is_remote(place) else _read(Path(place)):
        sent += len(piece)
        if sent > most:
            raise _NotSentError(f"larger than the {most} bytes that it may have")
        yield piece


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _downloaded(url: str, most: int) -> Iterator[bytes]:
    with closing(_answer(url)) as response:
        announced = int(response.headers.get("Content-Length") or 0)
        if announced > most:
            raise _NotSentError(f"larger than the {most} bytes that it may have")
        sent, since = 0, time.monotonic()
        with bar("download", announced or None, "bytes", unit_scale=True) as shown:
            # As sent: a server that calls a packed file encoded would have it unpacked.
            while piece := response.raw.read1(PIECE, decode_content=False):
                yield piece
                shown.update(len(piece))
                sent += len(piece)
                if (passed := time.monotonic() - since) > ANSWER:
                    if sent < SLOWEST * passed:
                        raise _NotSentError(f"slower than {SLOWEST} bytes a second")
                    sent, since = 0, time.monotonic()


def _answer(url: str) -> requests.Response:
    """A response with status 200, after at most REDIRECTIONS redirections."""
    place = url
    for _ in range(1 + REDIRECTIONS):
        response = _within(ANSWER, partial(_get, place))
        if not response.is_redirect:
            break
        response.close()
        place = urljoin(place, response.headers["Location"])
        if not _may_lead(urlsplit(url), urlsplit(place)):
            raise _NotSentError(f"redirects to {without_secrets(place)}")
    else:
        raise _NotSentError("redirects without end")
    if response.status_code != requests.codes.ok:
        response.close()
        raise _NotSentError(f"HTTP {response.status_code}")
    return response


def _get(url: str) -> requests.Response:
    return requests.get(
        url,
        headers={"Accept-Encoding": "identity"},
        timeout=ANSWER,
        stream=True,
        allow_redirects=False,
    )


def _within(seconds: float, call: Callable[[], T]) -> T:
    """The call's result; it is left to itself if it takes longer, a byte at a time, say."""
    results: list[T] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            results.append(call())
        except Exception as error:  # raised below, in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise _NotSentError(f"no answer within {seconds:.0f} s")
    return results[0]


def _may_lead(start: SplitResult, to: SplitResult) -> bool:
    """Whether a server may send us there: not from https to http, nor to a private address."""
    if to.scheme not in ("http", "https") or (start.scheme.lower(), to.scheme) == ("https", "http"):
        return False
    return to.hostname == start.hostname or _is_public(to.hostname or "")


def _is_public(host: str) -> bool:
    try:
        found = {str(address[0]) for *_, address in getaddrinfo(host, None)}
    except gaierror:
        return True  # a proxy may know it
    return all(ip_address(address).is_global for address in found)


def _is_broken(error: Exception) -> bool:
    """Whether the connection broke, which may not happen twice."""
    broken = isinstance(error, requests.ConnectionError | ProtocolError)
    return broken and not isinstance(error, requests.Timeout)


def _reason(error: Exception) -> str:
    match error:
        case _NotSentError():
            return str(error)
        case requests.Timeout() | ReadTimeoutError():
            return f"no answer within {ANSWER:.0f} s"
        case ProtocolError():
            return "the connection broke"
        case requests.RequestException() | ValueError():
            return "no proper answer"
        case OSError(strerror=str() as reason):
            return reason
    return type(error).__name__
