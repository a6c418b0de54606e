"""An exported file: equal to its model, equal to itself, and of no machine."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from src.core import paths
from src.core.errors import UserError
from src.data.imageset import load_images, save_images
from src.data.splits import Splits
from src.inference import exporting
from src.inference.engines import USAGE, Outputs, exported, open_export
from src.inference.exporting import PARITY, Parity, export, latency
from src.inference.usage import Usage
from tests.conftest import ROOT

EXPORT = exported(paths.BASE_MODEL)


def said(*logits: list[float], distance: float = 0.5) -> Outputs:
    found = np.array(logits, np.float32)
    return Outputs(found, found, np.full(len(found), distance, np.float32))


@pytest.fixture
def place(model_in_use: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(model_in_use)
    return model_in_use


@pytest.mark.parametrize(
    ("logits", "largest", "other", "passes"),
    [
        ([[0.0, 1.0], [1.0, 0.0]], 0.0, 0, True),
        ([[0.0, 1.00005], [1.0, 0.0]], 5e-5, 0, True),
        ([[0.0, 1.001], [1.0, 0.0]], 1e-3, 0, False),
        ([[1.0, 0.0], [1.0, 0.0]], 1.0, 1, False),
    ],
)
def test_parity_is_near_equal_logits_and_equal_labels(
    logits: list[list[float]], largest: float, other: int, passes: bool
) -> None:
    found = Parity.of(said(*logits), said([0.0, 1.0], [1.0, 0.0]))
    assert (found.images, found.other_labels, found.passed) == (2, other, passes)
    assert found.largest == pytest.approx(largest, rel=1e-2)


def test_equal_scores_in_another_order_of_classes_are_no_parity() -> None:
    found = Parity.of(said([1e-6, 0.0]), said([0.0, 1e-6]))
    assert not found.passed
    assert str(found).endswith("1 other labels on 1 test images")


@pytest.mark.parametrize("distance", [0.51, float("nan")])
def test_another_distance_is_no_parity(distance: float) -> None:
    assert not Parity.of(said([0.0, 1.0], distance=distance), said([0.0, 1.0])).passed


def test_the_file_says_what_its_use_takes_and_that_it_has_passed(place: Path) -> None:
    about = open_export(EXPORT).about
    usage, parity = Usage.from_tree(json.loads(about[USAGE])), json.loads(about[PARITY])
    assert usage.classes == tuple("0123456789")
    assert usage.image_shape == (1, 28, 28)
    assert usage.temperature == 0.8
    assert parity["images"] == 100
    assert parity["largest"] < 1e-4
    assert parity["other_labels"] == 0


def test_the_file_is_sound_and_takes_any_number_of_images(place: Path) -> None:
    onnx.checker.check_model(onnx.load(EXPORT), full_check=True)
    engine = open_export(EXPORT)
    for count in (1, 2, 7):
        outputs = engine.run(np.zeros((count, 1, 28, 28), np.uint8))
        assert [len(each) for each in outputs] == [count] * 3
        assert outputs.probabilities.sum(1) == pytest.approx(1, abs=1e-5)


def test_the_file_names_no_folder(place: Path) -> None:
    content = EXPORT.read_bytes()
    for word in (str(ROOT), str(place), str(Path.home()), "site-packages", ".py"):
        assert word.encode() not in content, word


def test_the_same_model_gives_the_same_bytes(place: Path, tmp_path: Path) -> None:
    export(paths.BASE_MODEL, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == EXPORT.read_bytes()


def test_what_would_not_equal_its_model_is_not_written(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.inference.exporting.CLOSE", 0.0)
    with pytest.raises(UserError, match="cannot be exported, the file would not equal it"):
        export(paths.BASE_MODEL, tmp_path / "model.onnx")
    assert [*tmp_path.iterdir()] == []


def test_without_test_images_of_its_classes_nothing_is_exported(
    few: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("source.test", "target.test"):
        save_images(paths.IMAGE_SETS[name], few.test)
    with pytest.raises(UserError, match=r"m\.safetensors: no test images of its size and classes"):
        exporting.test_images(Usage("", ("a", "b"), (1, 28, 28)), Path("m.safetensors"))
    own = Usage("", few.test.classes, (1, 28, 28))
    assert len(exporting.test_images(own, Path("m.safetensors"))) == 100


def test_latency_is_a_time(place: Path) -> None:
    images = load_images(paths.IMAGE_SETS["source.test"]).images[:1].numpy()
    assert 0 < latency(open_export(EXPORT), images) < 1
