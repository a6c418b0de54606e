"""Downloads against real servers on the loopback address, most of them hostile."""

import gzip
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from src.core.errors import UserError
from src.data import mirrors
from src.data.mirrors import fetch

CONTENT = gzip.compress(b"".join(number.to_bytes(2) for number in range(2_000)), mtime=0)
CHECKSUM = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
NAME, MOST = "train-images-idx3-ubyte.gz", 100_000
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"

Answer = Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "ANSWER", 0.3)


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    """The address of a server that answers every request like this, and knows no manners."""
    listening = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=[connection], daemon=True).start()

    def talk(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65_536)
                answer(connection)
            except OSError:
                pass  # the client has had enough

    threading.Thread(target=work, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()


def sends(*parts: bytes) -> Answer:
    return lambda connection: connection.sendall(b"".join(parts))


def body(content: bytes, *headers: bytes, length: int | None = None) -> Answer:
    announced = b"Content-Length: %d\r\n" % (len(content) if length is None else length)
    return sends(OK, announced, *headers, b"\r\n", content)


def status(line: str) -> Answer:
    return sends(f"HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n".encode())


def redirects(to: str) -> Answer:
    return sends(f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode())


def repeats(begin: bytes, piece: bytes, pause: float = 0.0) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(begin)
        while True:
            connection.sendall(piece)
            time.sleep(pause)

    return answer


def stalls(begin: bytes) -> Answer:
    return repeats(begin, b"", 0.5)


HOSTILE: dict[str, tuple[Answer, str]] = {
    "a page": (body(b"<html>Please log in</html>"), "its checksum is wrong"),
    "not found": (status("404 Not Found"), "HTTP 404"),
    "forbidden": (status("403 Forbidden"), "HTTP 403"),
    "broken": (status("500 Internal Server Error"), "HTTP 500"),
    "partial content": (status("206 Partial Content"), "HTTP 206"),
    "no answer at all": (sends(), "no proper answer"),
    "no HTTP": (sends(b"SSH-2.0-OpenSSH_9.2\r\n"), "no proper answer"),
    "no length": (sends(OK, b"Content-Length: abc\r\n\r\n", CONTENT), "no proper answer"),
    "sends nowhere": (redirects("http://[x"), "no proper answer"),
    "empty": (body(b""), "its checksum is wrong"),
    "short": (body(CONTENT[:50], length=len(CONTENT)), "the connection broke"),
    "wrong bytes": (body(bytes(len(CONTENT))), "its checksum is wrong"),
    "too long": (body(CONTENT + b"more"), "its checksum is wrong"),
    "announces too much": (body(CONTENT, length=10**12), "larger than the 100000 bytes"),
    "endless": (repeats(OK + b"\r\n", bytes(65_536)), "larger than the 100000 bytes"),
    "endless headers": (repeats(OK, b"X: y\r\n"), "no proper answer"),
    "an endless line": (repeats(OK + b"X: ", b"y" * 1_000), "no proper answer"),
    "stalls": (stalls(b""), "no answer within"),
    "stalls in the body": (stalls(OK + b"\r\n" + CONTENT[:50]), "no answer within"),
    "drips headers": (repeats(OK + b"X: ", b"y", 0.05), "no answer within"),
    "drips": (repeats(OK + b"\r\n", b"y", 0.05), "slower than 10000 bytes a second"),
    "drips after a good start": (
        repeats(OK + b"\r\n" + bytes(90_000), b"y", 0.05),
        "slower than 10000 bytes a second",
    ),
    "a bomb": (
        body(gzip.compress(bytes(10**7)), b"Content-Encoding: gzip\r\n"),
        "its checksum is wrong",
    ),
    "sends to loopback": (redirects("http://localhost:9/x"), "redirects to http://localhost:9/x"),
    "sends to the metadata": (redirects("http://169.254.169.254/x"), "redirects to http://169.254"),
    "sends into the network": (redirects("http://10.0.0.1/x"), r"redirects to http://10\.0\.0\.1"),
    "sends to a file": (redirects("file:///etc/passwd"), "redirects to file:///etc/passwd"),
    "sends in circles": (redirects("/again"), "redirects without end"),
}


@pytest.mark.parametrize(("answer", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_mirror_is_told_and_passed_over(
    tmp_path: Path, answer: Answer, reason: str
) -> None:
    with served(answer) as bad, served(body(CONTENT)) as good:
        with pytest.raises(UserError, match=f"^{NAME}: no mirror had it: {bad} .*{reason}") as told:
            fetch(NAME, CHECKSUM, MOST, (bad,), tmp_path)
        assert "\n" not in str(told.value)
        assert [*tmp_path.iterdir()] == []
        fetched = fetch(NAME, CHECKSUM, MOST, (bad, good), tmp_path)
    assert fetched.read_bytes() == CONTENT
    assert [*tmp_path.iterdir()] == [fetched]


def test_what_is_not_verified_is_never_at_its_place(tmp_path: Path) -> None:
    seen: list[str] = []

    def answer(connection: socket.socket) -> None:
        body(bytes(50_000), length=50_001)(connection)
        time.sleep(0.1)
        seen.extend(path.name for path in tmp_path.iterdir())

    with served(answer) as bad, pytest.raises(UserError):
        fetch(NAME, CHECKSUM, MOST, (bad,), tmp_path)
    assert set(seen) == {f".{NAME}.partial"}


def test_an_encrypted_mirror_may_not_send_to_an_open_one() -> None:
    def leads(start: str, to: str) -> bool:
        return mirrors._may_lead(urlsplit(start), urlsplit(to))

    assert not leads("https://192.0.2.1/a", "http://192.0.2.1/a")
    assert leads("https://192.0.2.1/a", "https://192.0.2.1/b")
    assert leads("http://192.0.2.1/a", "https://8.8.8.8/a")


def test_a_server_that_calls_a_packed_file_encoded_is_right(tmp_path: Path) -> None:
    with served(body(CONTENT, b"Content-Encoding: gzip\r\n")) as mirror:
        assert fetch(NAME, CHECKSUM, MOST, (mirror,), tmp_path).read_bytes() == CONTENT


def test_a_full_disk_is_not_the_fault_of_the_mirror(tmp_path: Path) -> None:
    (tmp_path / f".{NAME}.partial").symlink_to("/dev/full")
    with served(body(CONTENT)) as mirror, pytest.raises(OSError, match="No space left") as told:
        fetch(NAME, CHECKSUM, MOST, (mirror,), tmp_path)
    assert told.value.filename == str(tmp_path / NAME)


def test_a_connection_that_breaks_once_is_tried_again(tmp_path: Path) -> None:
    answers = [body(CONTENT[:50], length=len(CONTENT)), body(CONTENT)]
    with served(lambda connection: answers.pop(0)(connection)) as mirror:
        assert fetch(NAME, CHECKSUM, MOST, (mirror,), tmp_path).read_bytes() == CONTENT


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A mirror of one's own, with the data set's folder in it."""
    (tmp_path / "own/mnist").mkdir(parents=True)
    (tmp_path / "own/mnist" / NAME).write_bytes(CONTENT)
    return tmp_path / "own"


def fetched(tmp_path: Path, *addresses: str) -> bytes:
    return fetch(NAME, CHECKSUM, MOST, addresses, tmp_path / "mnist").read_bytes()


@pytest.mark.parametrize("form", ["{}", "{}/mnist", "file://{}", "own", "~/own"])
def test_a_folder_of_ones_own_may_be_named_in_any_way(
    tmp_path: Path, own: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA_MIRROR", form.format(own))
    assert fetched(tmp_path) == CONTENT


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("form", ["http://{}", "HTTP://{}/", "http://{}/mnist"])
def test_a_server_of_ones_own_may_be_named_in_any_way(
    tmp_path: Path, own: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(own)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("DATA_MIRROR", form.format(f"127.0.0.1:{server.server_port}"))
    try:
        assert fetched(tmp_path) == CONTENT
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_another_kind_of_mirror_is_refused_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_MIRROR", "ftp://me:hunter2@host/data")
    with pytest.raises(UserError, match=r"^DATA_MIRROR: should be a folder or .* not ftp://me:\*"):
        fetched(tmp_path)
    with served(status("404 Not Found")) as mirror:
        monkeypatch.setenv("DATA_MIRROR", mirror.replace("http://", "http://me:hunter2@"))
        with pytest.raises(UserError) as refusal:
            fetched(tmp_path)
    assert "hunter2" not in f"{refusal.value} {capsys.readouterr()}"


def test_a_wrong_file_of_ones_own_is_passed_over(
    tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own / "mnist" / NAME).write_bytes(b"wrong")
    monkeypatch.setenv("DATA_MIRROR", str(own))
    with served(body(CONTENT)) as good:
        assert fetched(tmp_path, good) == CONTENT


def test_what_was_fetched_is_verified_and_not_fetched_again(
    tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_MIRROR", str(own))
    assert fetched(tmp_path) == CONTENT
    monkeypatch.delenv("DATA_MIRROR")
    assert fetched(tmp_path) == CONTENT
    (tmp_path / "mnist" / NAME).write_bytes(b"damaged")
    with pytest.raises(UserError, match=NAME):
        fetched(tmp_path)
