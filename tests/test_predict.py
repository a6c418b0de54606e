"""src.predict, from files to answers, on a small model that reads most digits."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from src.core import paths
from src.core.runtime import generator
from src.data.idx import write_idx
from src.data.splits import Splits
from src.inference.engines import Onnx, Torch, exported, open_model
from src.models.build import build_model
from src.models.checkpoint import Checkpoint, load_model, save_model
from src.predict import main
from tests.conftest import ROOT, shrunk

ODD = ("停车", 'a "b", c', "two\nlines", "<i>", "$x$")


class Said(NamedTuple):
    out: str
    err: str
    status: int

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Place:
    """A working directory with a model in use, and the command in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def predict(self, *arguments: str | Path) -> Said:
        self._monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments)])
        status: object = 0
        try:
            main()
        except SystemExit as end:
            status = end.code
        out, err = self._capsys.readouterr()
        if isinstance(status, str):  # as Python ends: it is printed, and the status is 1
            return Said(out, f"{err}{status}\n", 1)
        return Said(out, err, int(str(status)))


@pytest.fixture
def place(
    model_in_use: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Place:
    for path in (paths.BASE_MODEL, exported(paths.BASE_MODEL), paths.USAGE, paths.TYPICAL):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((model_in_use / path).read_bytes())
    monkeypatch.chdir(tmp_path)
    return Place(monkeypatch, capsys)


@pytest.fixture
def photo(few: Splits, tmp_path: Path) -> Image.Image:
    """A dark 0 on a light sheet."""
    digit = Image.fromarray(few.train.images[few.train.labels == 0][0, 0].numpy())
    sheet = Image.new("L", (200, 160), 235)
    sheet.paste(digit.resize((112, 112)).point(lambda value: 235 - value * 7 // 8), (40, 20))
    sheet.save(tmp_path / "photo.png")
    return sheet


def test_a_photo_is_a_line_with_the_three_likeliest_classes(
    place: Place, photo: Image.Image
) -> None:
    [answer] = place.predict("photo.png").answers
    keys = ["file", "label", "probability", "top", "unlike_training", "other_writing"]
    assert list(answer) == keys
    assert (answer["file"], answer["label"]) == ("photo.png", "0")
    assert [list(each) for each in answer["top"]] == [["label", "probability"]] * 3
    told = [each["probability"] for each in answer["top"]]
    assert told == sorted(told, reverse=True)
    assert answer["top"][0] == {"label": answer["label"], "probability": answer["probability"]}
    assert 0 < sum(told) <= 1
    assert type(answer["unlike_training"]) is bool


def test_every_kind_of_picture_gets_the_same_answer(place: Place, photo: Image.Image) -> None:
    grey = np.asarray(photo)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save("a.bmp")
    photo.save("a.jpg", quality=95)
    photo.save("wrong.txt", "PNG")
    photo.convert("P").save("palette.gif")
    photo.rotate(90, expand=True).save("turned.png", exif=exif)
    Image.fromarray(grey.astype(np.uint16) * 257).save("deep.png")
    black = np.zeros((*grey.shape, 3), np.uint8)
    Image.fromarray(np.dstack([black, 235 - grey])).save("transparent.png")
    names = ["a.bmp", "a.jpg", "wrong.txt", "palette.gif", "turned.png", "deep.png"]
    said = place.predict(*names, "transparent.png")
    assert [answer["label"] for answer in said.answers] == ["0"] * 7
    assert (said.err, said.status) == ("", 0)


def test_a_single_pixel_gets_an_answer(place: Place) -> None:
    Image.new("L", (1, 1), 90).save("one.png")
    assert len(place.predict("one.png").answers) == 1


def test_images_of_the_data_set_are_taken_as_they_are(place: Place, few: Splits) -> None:
    write_idx(Path("test-images-idx3-ubyte.gz"), few.test.images[:, 0].numpy())
    said = place.predict("test-images-idx3-ubyte.gz", "--explain")
    assert [answer["index"] for answer in said.answers] == [*range(100)]
    assert {answer["steps"][0] for answer in said.answers} == {
        "taken as it is: of the model's size already"
    }
    logits = Torch(paths.BASE_MODEL).run(few.test.images.numpy()).logits
    wanted = [few.test.classes[label] for label in logits.argmax(1)]
    assert [answer["label"] for answer in said.answers] == wanted
    assert np.mean([answer["unlike_training"] for answer in said.answers]) < 0.15


def test_images_that_are_no_digits_are_unlike_training(place: Place) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    noise[:, [0, -1]] = noise[:, :, [0, -1]] = 0  # on black
    write_idx(Path("noise.idx.gz"), noise)
    assert all(answer["unlike_training"] for answer in place.predict("noise.idx.gz").answers)


def test_steps_are_told_and_saved(place: Place, photo: Image.Image) -> None:
    [answer] = place.predict("photo.png", "--explain", "--steps", "steps/new").answers
    saved = sorted(Path("steps/new").iterdir())
    assert [path.name for path in saved] == [
        f"00001-photo-{number}.png" for number in range(1, len(answer["steps"]) + 1)
    ]
    with Image.open(saved[-1]) as last:
        assert last.size == (28, 28)


def test_steps_are_saved_in_a_folder_and_nowhere_else(place: Place, photo: Image.Image) -> None:
    said = place.predict("photo.png", "--steps", "photo.png")
    assert said == ("", "error: photo.png: is a file; --steps should name a folder\n", 1)


def test_a_table_has_file_names_with_commas_quotes_and_newlines(
    place: Place, photo: Image.Image
) -> None:
    names = ["a,b.png", "two\nlines.png", 'a "b".png', "停.png"]
    for name in names:
        photo.save(name)
    header, *rows = csv.reader(place.predict("--csv", *names).out.splitlines(keepends=True))
    assert header == ["file", "index", "label", "probability", "unlike_training", "other_writing"]
    assert [row[0] for row in rows] == names
    assert {(row[1], row[2]) for row in rows} == {("", "0")}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not a picture (PNG, JPEG, BMP, GIF, WebP or TIFF)"),
        (b"hello", "not a picture"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "not a picture"),
    ],
    ids=["empty", "text", "damaged"],
)
def test_what_is_no_picture_is_told_in_one_line(place: Place, content: bytes, fault: str) -> None:
    Path("a.png").write_bytes(content)
    out, err, status = place.predict("a.png")
    assert err.startswith(f"error: a.png: {fault}")
    assert (out, err.count("\n"), status) == ("", 1, 1)


def test_labels_given_for_images_are_told(place: Place) -> None:
    write_idx(Path("t10k-labels-idx1-ubyte.gz"), np.arange(9, dtype=np.uint8))
    out, err, status = place.predict("t10k-labels-idx1-ubyte.gz")
    assert err == (
        "error: t10k-labels-idx1-ubyte.gz: should hold images, not values of shape (9,)\n"
    )
    assert (out, status) == ("", 1)


@pytest.mark.parametrize("name", ["none.png", "folder"])
def test_a_place_without_a_picture_does_not_stop_the_others(
    place: Place, photo: Image.Image, name: str
) -> None:
    Path("folder").mkdir()
    out, err, status = said = place.predict(name, "photo.png")
    assert [answer["file"] for answer in said.answers] == ["photo.png"]
    assert err.startswith(f"warning: left out: {name}: ")
    assert f"error: {name}: " in err
    assert (out.count("\n"), status) == (1, 1)


def test_a_bad_file_in_a_folder_does_not_stop_the_others(place: Place, photo: Image.Image) -> None:
    for name in ("a", "b", "c"):
        photo.save(f"photos-{name}.png")
    Path("photos").mkdir()
    for name in ("a", "b", "c"):
        Path(f"photos-{name}.png").rename(f"photos/{name}.png")
    whole = Path("photos/b.png").read_bytes()
    Path("photos/b.png").write_bytes(whole[: len(whole) // 2])
    said = place.predict("photos")
    assert [answer["file"] for answer in said.answers] == ["photos/a.png", "photos/c.png"]
    assert "error: photos/b.png: a damaged picture" in said.err
    assert said.status == 1


def test_the_four_files_of_a_data_set_give_all_their_images(place: Place, few: Splits) -> None:
    for part, images in (("train", few.train.images[:7]), ("t10k", few.test.images[:5])):
        write_idx(Path(f"set/{part}-images-idx3-ubyte.gz"), images[:, 0].numpy())
        write_idx(Path(f"set/{part}-labels-idx1-ubyte.gz"), np.zeros(len(images), np.uint8))
    said = place.predict("set")
    assert [answer["index"] for answer in said.answers] == [*range(5), *range(7)]
    assert (said.err, said.status) == ("", 0)


def test_the_exported_file_answers_as_the_weights_do(place: Place, few: Splits) -> None:
    pixels = few.test.images.numpy()
    engines = [open_model(paths.BASE_MODEL), Torch(paths.BASE_MODEL)]
    assert isinstance(engines[0], Onnx)
    assert engines[0].usage == engines[1].usage
    for export, weights in zip(*(engine.run(pixels) for engine in engines), strict=True):
        assert np.abs(export - weights).max() < 1e-5


def test_without_an_exported_file_the_answers_are_the_same(
    place: Place, photo: Image.Image
) -> None:
    before = place.predict("photo.png").answers
    exported(paths.BASE_MODEL).unlink()
    [after] = place.predict("photo.png").answers
    assert (after["label"], after["unlike_training"]) == ("0", before[0]["unlike_training"])
    assert after["probability"] == pytest.approx(before[0]["probability"], abs=1e-5)


def test_an_export_of_other_weights_is_passed_over(place: Place, photo: Image.Image) -> None:
    checkpoint = load_model(paths.BASE_MODEL, torch.device("cpu"))
    classes = tuple(f"new {name}" for name in checkpoint.classes)
    save_model(paths.BASE_MODEL, replace(checkpoint, classes=classes))
    said = place.predict("photo.png")
    assert said.answers[0]["label"] == "new 0"
    assert "warning: models/base.onnx: not of models/base.safetensors as it is now" in said.err
    assert said.status == 0


def test_an_export_of_another_calibration_is_passed_over(place: Place, photo: Image.Image) -> None:
    usages = json.loads(paths.USAGE.read_text())
    usages["base"]["temperature"] = 50.0
    paths.USAGE.write_text(json.dumps(usages))
    said = place.predict("photo.png")
    assert said.answers[0]["probability"] < 0.2
    assert "warning: models/base.onnx: not of models/base.safetensors as it is now" in said.err


def test_one_changed_byte_of_an_export_is_told(place: Place, photo: Image.Image) -> None:
    content = bytearray(exported(paths.BASE_MODEL).read_bytes())
    middle = len(content) // 2  # among the weights, which the runtime does not check
    content[middle] ^= 1
    exported(paths.BASE_MODEL).write_bytes(content)
    said = place.predict("photo.png")
    assert said.err.startswith("error: models/base.onnx: damaged, or not written by src.export")
    assert (said.out, said.status) == ("", 1)


def test_an_image_is_unlike_training_just_above_the_furthest_distance(
    place: Place, few: Splits
) -> None:
    write_idx(Path("one-images-idx3-ubyte.gz"), few.test.images[:1, 0].numpy())
    distance = float(open_model(paths.BASE_MODEL).run(few.test.images[:1].numpy()).distances[0])
    exported(paths.BASE_MODEL).unlink()
    for furthest, unlike in ((0.999 * distance, True), (1.001 * distance, False)):
        usages = json.loads(paths.USAGE.read_text())
        usages["base"]["furthest"] = furthest
        paths.USAGE.write_text(json.dumps(usages))
        [answer] = place.predict("one-images-idx3-ubyte.gz").answers
        assert answer["unlike_training"] is unlike


def test_an_empty_picture_is_unlike_training(place: Place) -> None:
    Image.new("L", (90, 60), 240).save("empty.png")
    [answer] = place.predict("empty.png").answers
    assert answer["unlike_training"] is True


def test_a_table_tells_no_steps(place: Place, photo: Image.Image) -> None:
    said = place.predict("photo.png", "--csv", "--explain")
    assert "--explain: not allowed with argument --csv" in said.err
    assert said.status == 2


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ("models/base.onnx", "models/base.onnx: damaged, or not written by src.export"),
        ("models/base.safetensors", "models/base.onnx: damaged, or not written by src.export"),
        ("models/none.onnx", "models/none.onnx: not found; `python -m src.export` makes it"),
        ("models/none.safetensors", "models/none.safetensors: not found; `dvc repro` makes it"),
        ("photo.png", "photo.png: damaged, or not written by idxflow"),
        ("models", "models: should be a file, not a folder"),
    ],
)
def test_a_model_that_cannot_be_used_is_told_in_one_line(
    place: Place, photo: Image.Image, model: str, fault: str
) -> None:
    exported(paths.BASE_MODEL).write_bytes(b"damaged")
    out, err, status = place.predict("photo.png", "--model", model)
    assert err.startswith(f"error: {fault}")
    assert (out, err.count("\n"), status) == ("", 1, 1)


@pytest.fixture
def colour(place: Place) -> Path:
    """A model for colour, of classes with odd names, that evaluate has not seen."""
    path, config, shape = Path("colour.safetensors"), shrunk().model, (3, 20, 24)
    model = build_model(config, shape, len(ODD), [99.0] * 3, [60.0] * 3, generator(0, "weights"))
    save_model(path, Checkpoint(model.eval(), config, shape, ODD))
    return path


def test_a_model_that_evaluate_has_not_seen_warns(
    place: Place, photo: Image.Image, colour: Path
) -> None:
    photo.convert("RGB").save("photo.jpg")
    said = place.predict("photo.jpg", "--model", colour, "--explain")
    assert said.err == (
        "warning: colour.safetensors: `dvc repro` has not evaluated it, so its probabilities are "
        "not calibrated\n"
    )
    [answer] = said.answers
    assert {each["label"] for each in answer["top"]} < {*ODD}
    assert answer["unlike_training"] is None
    assert answer["steps"] == ["scaled into the frame"]


def test_a_colour_model_reads_grey_pictures(place: Place, photo: Image.Image, colour: Path) -> None:
    photo.convert("RGB").save("photo.bmp")
    same, again = place.predict("photo.png", "photo.bmp", "--model", colour).answers
    assert same["top"] == again["top"]


PROGRAM = """\
import runpy, sys
sys.argv = ["predict", "photo.png"]
runpy.run_module("src.predict", run_name="__main__")
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("program", [PROGRAM, None], ids=["src.predict", "docs/use.md"])
def test_an_exported_file_needs_no_torch(
    place: Place, photo: Image.Image, program: str | None
) -> None:
    if program is None:
        page = (ROOT / "docs/use.md").read_text()
        [program] = re.findall(r"^```\n(import json.*?)^```$", page, re.MULTILINE | re.DOTALL)
        program += "import sys\nassert 'torch' not in sys.modules\n"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.strip()
