"""Downloads against a real server on the loopback address."""

import gzip
import hashlib
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.core.errors import UserError
from src.data.catalogue import CATALOGUE, Published
from src.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, read_idx, write_idx
from src.data.sources import obtain

NAMES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class Html(BaseHTTPRequestHandler):
    """Answers everything with a page, as captive portals do."""

    def do_GET(self) -> None:
        body = b"<html><body>Please log in</body></html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Short(Html):
    """Announces more than it sends."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(b"\x1f\x8b" + bytes(100))


class Missing(Html):
    def do_GET(self) -> None:
        self.send_error(404)


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Any:
    """Serve with a handler; the address of the server."""

    def start(handler: Any) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        request.addfinalizer(stop)
        return f"http://127.0.0.1:{server.server_port}"

    return start


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Four small IDX files, as a mirror has them."""
    folder = tmp_path / "mirror"
    for number, name in enumerate(NAMES):
        write_idx(folder / name, np.full((3, 2), number, np.uint8))
    return folder


@pytest.fixture
def mirrors(monkeypatch: pytest.MonkeyPatch, files: Path) -> Any:
    """Publish the small files under the name mnist, at the mirrors given."""
    checksums = {name: sha256(files / name) for name in NAMES}

    def at(*addresses: str) -> None:
        source = Published("mnist", addresses, checksums)
        monkeypatch.setitem(CATALOGUE, "mnist", CATALOGUE["mnist"]._replace(source=source))

    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)  # between the tries
    return at


def sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def dead() -> str:
    return "http://127.0.0.1:9"  # the discard port: nothing listens there


def fetch(tmp_path: Path) -> Path:
    obtain("mnist", tmp_path / "mnist", tmp_path / "downloads")
    return tmp_path / "mnist"


def assert_arrived(folder: Path) -> None:
    for number, name in enumerate(NAMES):
        assert read_idx(folder / name).tolist() == [[number, number]] * 3


@pytest.mark.parametrize("bad", [Html, Short, Missing, None], ids=["html", "short", "404", "dead"])
def test_a_bad_mirror_is_passed_over(
    tmp_path: Path, serve: Any, mirrors: Any, files: Path, bad: Any
) -> None:
    good = serve(partial(Quiet, directory=str(files)))
    mirrors(serve(bad) if bad else dead(), good)
    assert_arrived(fetch(tmp_path))


def test_when_no_mirror_is_good_one_line_says_why_and_nothing_is_left(
    tmp_path: Path, serve: Any, mirrors: Any
) -> None:
    mirrors(serve(Html), serve(Short), serve(Missing), dead())
    with pytest.raises(UserError, match=f"{TRAIN_IMAGES}: no mirror had it") as refusal:
        fetch(tmp_path)
    message = str(refusal.value)
    assert "\n" not in message
    assert "its checksum is wrong" in message
    assert "HTTP 404" in message
    assert "ConnectionError" in message
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and "mirror" not in str(path)
    ]


def test_a_folder_named_by_the_environment_is_tried_first(
    tmp_path: Path, mirrors: Any, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors(dead())
    monkeypatch.setenv("DATA_MIRROR", str(files))
    assert_arrived(fetch(tmp_path))


def test_an_address_named_by_the_environment_is_tried_first(
    tmp_path: Path, serve: Any, mirrors: Any, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors(dead())
    monkeypatch.setenv("DATA_MIRROR", serve(partial(Quiet, directory=str(files))) + "/")
    assert_arrived(fetch(tmp_path))


def test_a_wrong_file_in_the_own_mirror_is_not_taken(
    tmp_path: Path, serve: Any, mirrors: Any, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors(serve(partial(Quiet, directory=str(files))))
    own = tmp_path / "own"
    for name in NAMES:
        write_idx(own / name, np.zeros((3, 2), np.uint8))
    monkeypatch.setenv("DATA_MIRROR", str(own))
    assert_arrived(fetch(tmp_path))


def test_what_was_fetched_is_verified_and_not_fetched_again(
    tmp_path: Path, serve: Any, mirrors: Any, files: Path
) -> None:
    mirrors(serve(partial(Quiet, directory=str(files))))
    fetch(tmp_path)
    mirrors(dead())
    assert_arrived(fetch(tmp_path))
    (tmp_path / "downloads" / "mnist" / TRAIN_IMAGES).write_bytes(b"damaged")
    with pytest.raises(UserError, match=TRAIN_IMAGES):
        fetch(tmp_path)


@pytest.mark.parametrize("dataset", ["mnist-5k", "optdigits"])
def test_embedded_sets_are_as_announced_and_the_same_bytes_each_time(
    raw: Path, tmp_path: Path, dataset: Any
) -> None:
    obtain(dataset, tmp_path, tmp_path)
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (raw / dataset / name).read_bytes()
    facts = CATALOGUE[dataset].facts
    images, labels = read_idx(tmp_path / TRAIN_IMAGES), read_idx(tmp_path / TRAIN_LABELS)
    assert images.shape == (facts.train_images, facts.height, facts.width)
    assert len(np.unique(labels)) == len(facts.classes)


def test_embedded_sets_are_stratified(raw: Path) -> None:
    train = np.bincount(read_idx(raw / "mnist-5k" / TRAIN_LABELS))
    test = np.bincount(read_idx(raw / "mnist-5k" / TEST_LABELS))
    assert train.tolist() == [400] * 10
    assert test.tolist() == [100] * 10


def test_optdigits_are_framed_as_mnist_frames_digits(raw: Path) -> None:
    images = read_idx(raw / "optdigits" / TRAIN_IMAGES).astype(float)
    rows, columns = np.indices((28, 28))
    total = images.sum((1, 2))
    for axis in (rows, columns):
        centre = (images * axis).sum((1, 2)) / total
        assert np.abs(centre - 13.5).max() <= 0.51  # half a pixel, and rounding
    assert all(
        (image > 0).any(1).sum() <= 20 and (image > 0).any(0).sum() <= 20 for image in images
    )


def test_gzip_tools_read_the_embedded_files(raw: Path) -> None:
    assert len(gzip.decompress((raw / "mnist-5k" / TEST_IMAGES).read_bytes())) == 16 + 784_000
