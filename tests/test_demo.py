"""The demo: a browser draws on its page, and others ask its server for what they should not get."""

import base64
import io
import json
import math
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch
import uvicorn
from onnx import helper
from PIL import Image
from playwright.sync_api import FilePayload

from src.config.networks import ModelConfig
from src.core import paths
from src.core.files import write_bytes
from src.core.runtime import set_up
from src.data.imageset import save_images
from src.data.splits import Splits
from src.demo.occlusion import occlusion
from src.demo.server import MOST, app
from src.evaluation.calibration import fit_temperature
from src.evaluation.subjects import SUBJECTS, TENSORS
from src.evaluation.usages import usages
from src.inference.engines import (
    DIGEST,
    UNSEALED,
    USAGE,
    Torch,
    exported,
    open_export,
    sealed,
)
from src.inference.usage import Usage
from src.models.build import build_model
from src.models.checkpoint import Checkpoint, load_model, save_model
from src.models.scoring import predict
from src.training.scratch import train_from_scratch
from tests.browser import Visitor
from tests.clones import Clone, clone
from tests.conftest import shrunk
from tests.custom import ODD
from tests.servers import Served, free_port, served, wait_for

Points = Sequence[tuple[float, float]]  # across and down, as shares of the drawing area


def arc(x: float, y: float, radius: float, begin: int, end: int) -> Points:
    """Degrees are counted from the right, clockwise."""
    angles = [math.radians(begin + (end - begin) * part / 12) for part in range(13)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


DRAWN: dict[str, Points] = {
    "3": [*arc(0.48, 0.33, 0.16, -150, 90), *arc(0.48, 0.67, 0.18, -90, 150)],
    "7": [(0.3, 0.2), (0.7, 0.2), (0.58, 0.45), (0.45, 0.82)],
    "8": [
        *arc(0.5, 0.34, 0.14, -60, -270),
        *arc(0.5, 0.66, 0.18, -90, 270),
        *arc(0.5, 0.34, 0.14, 90, -60),
    ],
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory, mnist_5k: Splits) -> Clone:
    """A repository with a network that is just large enough to read what is drawn.

    It is evaluated, and beside it lies the export of another. (All of the pipeline takes longer.)
    """
    made, config = clone(tmp_path_factory.mktemp("digits")), shrunk(train__epochs=3)
    network = config.model.model_copy(update={"channels": (8, 16), "hidden": (64,)})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made.root)
        set_up(**config.runtime.model_dump())
        Path(".dvc/tmp").mkdir()  # where it is noted who opens test images
        for name, images in zip(paths.SPLITS, mnist_5k, strict=True):
            save_images(paths.SOURCE_TENSORS / name, images)
        trained = train_from_scratch(network, config.train, mnist_5k.train, mnist_5k.val, seed=0)
        for subject in SUBJECTS:
            save_model(subject.path, trained.checkpoint)
        models = {subject.name: trained.checkpoint for subject in SUBJECTS}
        sets = [dict.fromkeys(TENSORS, each) for each in (mnist_5k.train, mnist_5k.val)]
        for name, content in usages(SUBJECTS, models, *sets).files.items():
            write_bytes(content, paths.EVALUATION / name)
        write_bytes(of_other_weights(), exported(paths.BASE_MODEL))
    return made


def of_other_weights() -> bytes:
    """The content of an exported file that does nothing."""
    one, other = (helper.make_tensor_value_info(name, 1, [1]) for name in ("one", "other"))
    nothing = helper.make_node("Identity", ["one"], ["other"])
    model = helper.make_model(
        helper.make_graph([nothing], "nothing", [one], [other]), ir_version=10
    )
    usage = json.dumps(Usage("other", (), (1, 28, 28)).as_tree())
    helper.set_model_props(model, {USAGE: usage, DIGEST: UNSEALED.decode()})
    return sealed(model.SerializeToString())


def fresh(config: ModelConfig, shape: tuple[int, int, int], classes: Sequence[str]) -> Checkpoint:
    channels, drawn = shape[0], torch.Generator()
    model = build_model(config, shape, len(classes), [99.0] * channels, [50.0] * channels, drawn)
    return Checkpoint(model, config, shape, tuple(classes))


@pytest.fixture(scope="module")
def demo(digits: Clone) -> Iterator[Served]:
    with served(digits, "src.demo") as opened:
        yield opened
        opened.process.terminate()
        assert opened.process.communicate()[0] == ""  # the log, after all that was refused


@pytest.fixture
def drawing(page: Visitor, demo: Served) -> Iterator[Visitor]:
    page.open(demo.address, 1440)
    yield page
    assert page.errors == []
    assert page.asked == []


def on(page: Visitor, points: Points) -> Points:
    """The same points, in pixels of the window."""
    box = page.page.locator("#pad").bounding_box()
    assert box is not None
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]


def wait_until_read(page: Visitor, text: str) -> None:
    page.page.locator("#label").get_by_text(text, exact=True).wait_for(timeout=5_000)


def draw(page: Visitor, label: str) -> None:
    """With the mouse, which stays down."""
    first, *others = on(page, DRAWN[label])
    page.page.mouse.move(*first)
    page.page.mouse.down()
    for point in others:
        page.page.mouse.move(*point)


@pytest.mark.parametrize("label", DRAWN)
def test_what_the_mouse_draws_is_read_while_it_draws(drawing: Visitor, label: str) -> None:
    draw(drawing, label)
    wait_until_read(drawing, label)
    drawing.page.mouse.up()
    assert drawing.page.locator("tbody tr").count() == 10
    assert drawing.page.locator("tr.first th").all_inner_texts() == [label]
    shares = [float(text.strip(" %")) for text in drawing.page.locator("td + td").all_inner_texts()]
    assert sum(shares) == pytest.approx(100, abs=0.6)
    assert drawing.page.locator("#steps li").count() > 1


OPACITY = """map => [...map.getContext("2d").getImageData(0, 0, 14, 14).data]
    .filter((_, number) => number % 4 == 3)"""


def test_the_map_lies_over_the_image_and_can_be_hidden(drawing: Visitor) -> None:
    draw(drawing, "3")
    wait_until_read(drawing, "3")
    drawing.page.mouse.up()
    image, over = drawing.page.locator("#image"), drawing.page.locator("#map")
    assert over.bounding_box() == image.bounding_box()
    opacity = over.evaluate(OPACITY)
    assert max(opacity) == 255
    assert min(opacity) == 0
    drawing.page.get_by_label("Show what the answer rests on").uncheck()
    assert not over.is_visible()


def test_a_finger_draws_and_the_page_stays_where_it_is(drawing: Visitor) -> None:
    drawing.page.set_viewport_size({"width": 390, "height": 600})
    touch = drawing.page.context.new_cdp_session(drawing.page)
    # Upwards, which anywhere else on the page would scroll it.
    points = [{"x": x, "y": y} for x, y in on(drawing, DRAWN["3"][::-1])]
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    for kind, point in zip(["touchStart"] + ["touchMove"] * 25, points, strict=True):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_until_read(drawing, "3")
    assert drawing.page.evaluate("scrollY") == 0


def test_the_keyboard_draws_and_clears(drawing: Visitor) -> None:
    keyboard = drawing.page.keyboard
    keyboard.press("Tab")
    keys = ["ArrowLeft"] * 8 + ["Space"] + ["ArrowRight"] * 16
    for key in keys:
        keyboard.press(key)
    for _ in range(9):  # aslant, with two keys at once
        for key in ("ArrowDown", "ArrowLeft"):
            keyboard.down(key)
        for key in ("ArrowDown", "ArrowLeft"):
            keyboard.up(key)
    wait_until_read(drawing, "7")
    assert drawing.page.locator("#pen").get_attribute("style") == "left: 47.5%; top: 70%;"
    keyboard.press("Space")
    assert drawing.page.locator("#spoken").inner_text() == "Pen up"
    keyboard.press("Escape")
    wait_until_read(drawing, "?")
    assert drawing.page.locator("#spoken").inner_text() == "Cleared"


GIVE = """([way, name, content]) => {
    const files = new DataTransfer();
    const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
    files.items.add(new File([bytes], name, {type: "image/png"}));
    const event = way === "drop" ? new DragEvent("drop", {dataTransfer: files, bubbles: true})
        : new ClipboardEvent("paste", {clipboardData: files, bubbles: true});
    document.querySelector("#pad").dispatchEvent(event);
}"""


def give(page: Visitor, way: str, content: bytes) -> None:
    """Drop, paste or pick a picture."""
    if way == "pick":
        file = FilePayload(name="one.png", mimeType="image/png", buffer=content)
        page.page.locator("input[type=file]").set_input_files(file)
    else:
        page.page.evaluate(GIVE, [way, "one.png", base64.b64encode(content).decode()])


@pytest.mark.parametrize("way", ["drop", "paste", "pick"])
def test_a_picture_is_read_and_the_next_stroke_replaces_it(
    drawing: Visitor, mnist_5k: Splits, way: str
) -> None:
    zeros = mnist_5k.test.images[mnist_5k.test.labels == 0]
    image = Image.fromarray(zeros[0, 0].numpy())
    give(drawing, way, png(image.resize((84, 84))))
    wait_until_read(drawing, "0")
    assert drawing.page.locator("#given").is_visible()
    draw(drawing, "7")
    wait_until_read(drawing, "7")
    drawing.page.mouse.up()
    assert not drawing.page.locator("#given").is_visible()


def test_the_page_says_that_a_picture_is_damaged_or_unlike_the_others(
    page: Visitor, demo: Served
) -> None:
    page.open(demo.address, 1440)
    give(page, "drop", b"no picture")
    page.page.get_by_role("alert").get_by_text("not a picture (PNG").wait_for(timeout=5_000)
    noise = np.random.default_rng(0).integers(0, 255, (28, 28), np.uint8)
    noise[[0, -1]] = 0
    noise[:, [0, -1]] = 0
    give(page, "drop", png(Image.fromarray(noise)))
    page.page.get_by_text("This is unlike the images").wait_for(timeout=5_000)
    assert not page.page.get_by_role("alert").is_visible()
    assert [error for error in page.errors if "400" not in error] == []  # the browser's own words
    page.errors.clear()


def test_the_page_can_be_used_by_everybody(drawing: Visitor) -> None:
    draw(drawing, "8")
    wait_until_read(drawing, "8")
    drawing.page.mouse.up()
    drawing.examine()
    drawing.page.get_by_role("status").get_by_text("8, ").wait_for(timeout=5_000)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def ask(address: str, content: bytes | None = None, **headers: str) -> tuple[int, Any, Any]:
    """Status, headers and content of an answer; the content from JSON, if it is that."""
    request = Request(address, content, headers)  # noqa: S310
    try:
        with urlopen(request) as response:  # noqa: S310
            status, told, text = response.status, response.headers, response.read()
    except HTTPError as error:
        status, told, text = error.code, error.headers, error.read()
    return status, told, json.loads(text) if "json" in told["Content-Type"] else text


def test_what_is_served_is_what_was_evaluated(
    digits: Clone, demo: Served, mnist_5k: Splits
) -> None:
    checkpoint = load_model(digits.root / paths.BASE_MODEL, torch.device("cpu"))
    temperature = fit_temperature(predict(checkpoint.model, mnist_5k.val), mnist_5k.val.labels)
    assert abs(temperature - 1) > 0.01
    some = mnist_5k.test.subset(torch.arange(0, 1000, 20))
    evaluated = (predict(checkpoint.model, some) / temperature).softmax(1)
    for image, wanted in zip(some.images, evaluated, strict=True):
        status, _, told = ask(demo.address + "answer", png(Image.fromarray(image[0].numpy())))
        assert status == 200
        found = dict(told["ranked"])
        assert [found[name] for name in checkpoint.classes] == pytest.approx(
            wanted.tolist(), abs=1e-5
        )


@pytest.mark.usefixtures("demo")
def test_the_map_is_what_the_answer_loses(digits: Clone, mnist_5k: Splits) -> None:
    engine = open_export(digits.root / "models/base.onnx")
    pixels = mnist_5k.test.images[0].numpy()
    falls = occlusion(engine, pixels)
    hidden = pixels.copy()
    row, column = divmod(int(falls.argmax()), 14)
    hidden[:, 2 * row - 2 : 2 * row + 4, 2 * column - 2 : 2 * column + 4] = 0
    whole, less = engine.run(np.stack([pixels, hidden])).probabilities
    label = whole.argmax()
    assert falls.max() == pytest.approx(whole[label] - less[label], abs=1e-5)
    assert falls.max() > 0.01
    assert falls[0] == pytest.approx(0, abs=1e-5)  # where there is nothing to hide


@pytest.mark.parametrize("path", ["", "model", "answer"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1:1"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_other_names_and_other_pages_are_refused(
    demo: Served, path: str, headers: dict[str, str]
) -> None:
    status, about, told = ask(demo.address + path, b"" if path == "answer" else None, **headers)
    assert status == 403
    assert list(told) == ["error"]
    assert not [name for name in about if name.startswith("Access-Control")]


def test_its_own_names_are_not_refused(demo: Served) -> None:
    for host in (f"127.0.0.1:{demo.port}", f"localhost:{demo.port}"):
        status, about, _ = ask(demo.address + "model", Host=host, Origin=f"http://{host}")
        assert status == 200
        assert about["X-Content-Type-Options"] == "nosniff"
        assert "unsafe" not in about["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json", "../params.yaml"])
def test_there_is_nothing_else(demo: Served, path: str) -> None:
    assert ask(demo.address + path)[0] == 404


def test_other_machines_cannot_reach_it(demo: Served) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", demo.port))


def test_too_much_is_refused_while_it_is_sent(demo: Served) -> None:
    piece = b"100000\r\n" + bytes(2**20) + b"\r\n"
    with socket.create_connection(("127.0.0.1", demo.port), timeout=5) as sender:
        about = f"Host: 127.0.0.1:{demo.port}\r\nTransfer-Encoding: chunked"
        sender.sendall(f"POST /answer HTTP/1.1\r\n{about}\r\n\r\n".encode())
        for _ in range(MOST // 2**20 + 1):
            sender.sendall(piece)
        told = sender.recv(10_000)
    assert told.startswith(b"HTTP/1.1 413 ")


def test_a_page_that_closes_in_the_middle_of_sending_is_no_error(demo: Served) -> None:
    with socket.create_connection(("127.0.0.1", demo.port)) as sender:
        about = f"Host: 127.0.0.1:{demo.port}\r\nContent-Length: 100"
        sender.sendall(f"POST /answer HTTP/1.1\r\n{about}\r\n\r\nhalf".encode())
    # That the log is empty is seen at its end.
    assert ask(demo.address + "model")[0] == 200


WHOLE = png(Image.effect_noise((300, 300), 50))
HUGE = png(Image.new("1", (20_000, 20_000)))


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture", WHOLE[:40], WHOLE[:5000], HUGE, b"--x\r\nContent-Disposition: form-data"],
    ids=["empty", "text", "header", "half", "huge", "multipart"],
)
def test_a_damaged_picture_is_one_line(demo: Served, content: bytes) -> None:
    status, _, told = ask(demo.address + "answer", content)
    assert status == 400
    assert list(told) == ["error"]
    assert "\n" not in told["error"]


def test_weights_are_exported_first_and_the_page_says_where_it_is(demo: Served) -> None:
    warning, exporting, address = demo.told
    assert "models/base.onnx: not of models/base.safetensors as it is now" in warning
    assert exporting == "Exporting models/base.safetensors to models/base.onnx.\n"
    assert address == f"{demo.address}\n"


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_it_starts_without_torch_and_ends_quietly(
    digits: Clone, number: signal.Signals, code: int
) -> None:
    with served(digits, "src.demo") as opened:
        assert opened.told == [f"{opened.address}\n"]
        assert "torch" not in Path(f"/proc/{opened.process.pid}/maps").read_text()
        opened.process.send_signal(number)
        assert opened.process.communicate(timeout=10)[0] == ""
        assert opened.process.returncode == code


def test_a_taken_port_is_one_line(digits: Clone, demo: Served) -> None:
    printed = digits.here("src.demo.__main__", str(demo.port), fails=True)
    assert printed.startswith(f"error: port {demo.port} cannot be used (")
    assert printed.count("\n") == 1


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[str]:
    """The page of a model of colour images that are not square, with odd classes."""
    names = (*ODD, *(f"class {number}" for number in range(4)))
    save_model(tmp_path / "odd.safetensors", fresh(shrunk().model, (3, 24, 32), names))
    port = free_port()
    odd_app = app(Torch(tmp_path / "odd.safetensors"), port)
    server = uvicorn.Server(uvicorn.Config(odd_app, port=port, log_level="warning"))
    running = threading.Thread(target=server.run)
    running.start()
    address = f"http://127.0.0.1:{port}/"
    wait_for(address)
    yield address
    server.should_exit = True
    running.join()


def test_odd_classes_and_other_images_are_shown_as_they_are(page: Visitor, odd: str) -> None:
    picture = png(Image.linear_gradient("L").convert("RGB"))
    page.open(odd, 390)
    give(page, "drop", picture)
    page.page.locator("#image").wait_for()
    page.examine()
    shown = page.page.locator("th").all_inner_texts()
    told = ask(odd + "answer", picture)[2]
    assert shown == [name for name, _ in told["ranked"][:10]]
    assert len(told["ranked"]) == 12
    assert "<b>" in page.page.locator("#lead").inner_text()
    image = page.page.locator("#image").bounding_box()
    assert image is not None
    assert image["width"] / image["height"] == pytest.approx(32 / 24, rel=0.01)
    assert "not calibrated" in page.page.locator("#lead").inner_text()
