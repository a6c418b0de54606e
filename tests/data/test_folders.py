"""Custom data: a folder with four IDX files."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from src.core.errors import UserError
from src.data.folders import inspect
from src.data.idx import Array, read_idx, write_idx
from src.data.sources import classes_of, facts_of, is_current_copy, obtain, raw_folder
from tests.conftest import shrunk
from tests.custom import write_custom


def test_a_folder_is_taken_over_with_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_custom(tmp_path / "folder", size=32, channels=3, names=["yes", "no", "perhaps"])
    dataset = f"folder:{folder}"
    facts = facts_of(dataset)
    assert (facts.height, facts.width) == (32, 32)
    assert facts.classes == ("yes", "no", "perhaps")
    obtain(dataset, raw_folder(dataset), tmp_path)
    assert raw_folder(dataset).parent == Path("data/raw")
    for path in raw_folder(dataset).glob("*ubyte.gz"):
        assert np.array_equal(read_idx(path), read_idx(next(folder.glob(f"{path.name[:12]}*"))))
    assert classes_of(dataset) == facts.classes


def test_files_may_be_unpacked_and_classes_more_than_a_byte_holds(tmp_path: Path) -> None:
    folder = write_custom(tmp_path, classes=300, packed=False)
    assert inspect(folder).classes == tuple(str(label) for label in range(300))


def test_a_path_is_seen_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_custom(tmp_path / "letters")
    assert facts_of("folder:letters").train_images == 12
    assert facts_of("folder:./letters").origins == facts_of("folder:letters").origins


def test_a_folder_that_was_taken_over_need_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = f"folder:{write_custom(tmp_path / 'folder')}"
    obtain(dataset, raw_folder(dataset), tmp_path)
    (tmp_path / "folder").rename(tmp_path / "away")
    assert facts_of(dataset).train_images == 12


def test_what_is_not_a_data_set_is_refused_in_a_line_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing: not found"):
        facts_of(f"folder:{tmp_path / 'nothing'}")
    folder = write_custom(tmp_path / "folder")
    write_idx(folder / "train-images-again.gz", np.zeros((1, 1), np.uint8))
    with pytest.raises(
        UserError, match=r"one file train-images-idx\.\.\., not .*again\.gz, .*idx3"
    ):
        inspect(folder)
    (folder / "train-images-again.gz").unlink()
    (folder / "classes.txt").write_text("yes\nno\n")
    with pytest.raises(UserError, match=r"classes\.txt: should name 3 classes"):
        inspect(folder)
    (folder / "classes.txt").write_text("yes\nno\nno\n")
    with pytest.raises(UserError, match=r"classes\.txt: should name every class once"):
        inspect(folder)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full(12, 2_000_000_000, np.int32), "labels should be 0 to 999, not 2000000000"),
        (np.full(12, -1, np.int16), "labels should be 0 to 999, not -1"),
        (np.tile([1, 2, 3], 4).astype(np.uint8), "has no image of class 0, which t10k-labels"),
        (np.tile([0, 1], 6).astype(np.uint8), "has no image of class 2, which t10k-labels"),
        (
            np.tile([0, 1, 2, 4], 3).astype(np.uint8),
            "labels should have no gaps, but 3 is",
        ),
        (np.zeros((12, 1), np.uint8), "labels should have 1 dimension, not 2"),
        (np.zeros(11, np.uint8), "11 labels, but 12 images"),
    ],
)
def test_labels_out_of_range_are_refused(tmp_path: Path, labels: Array, message: str) -> None:
    folder = write_custom(tmp_path)
    write_idx(folder / "train-labels-idx1-ubyte.gz", labels)
    with pytest.raises(UserError, match=f"train-labels-idx1-ubyte.gz: {message}"):
        inspect(folder)


@pytest.mark.parametrize(
    ("name", "images", "message"),
    [
        ("train-images-idx3-ubyte.gz", np.zeros((12, 8, 8), np.int16), "should be unsigned bytes"),
        ("train-images-idx3-ubyte.gz", np.zeros((12, 8), np.uint8), "should have 3 dimensions"),
        ("t10k-images-idx3-ubyte.gz", np.zeros((6, 8, 9), np.uint8), "images should be .8, 8."),
        (
            "train-images-idx3-ubyte.gz",
            np.zeros((12, 3, 8, 8), np.uint8),
            "channels .* last",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused(
    tmp_path: Path, name: str, images: Array, message: str
) -> None:
    folder = write_custom(tmp_path)
    write_idx(folder / name, images)
    with pytest.raises(UserError, match=f"{name}: .*{message}"):
        inspect(folder)


def test_labels_may_count_from_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_custom(tmp_path / "folder")
    for path in folder.glob("*labels*"):
        write_idx(path, read_idx(path) + 1)
    dataset = f"folder:{folder}"
    assert facts_of(dataset).classes == ("1", "2", "3")
    obtain(dataset, raw_folder(dataset), tmp_path)
    assert "labels count from 1: label 1 is the first class, called 1" in capsys.readouterr().out
    assert np.unique(read_idx(raw_folder(dataset) / "t10k-labels-idx1-ubyte.gz")).tolist() == [
        0,
        1,
        2,
    ]
    assert classes_of(dataset) == ("1", "2", "3")
    assert is_current_copy(folder, raw_folder(dataset))
    (folder / "classes.txt").write_text("a\nb\nc\n")
    assert inspect(folder)[2:] == (("a", "b", "c"), 12, 1)
    (folder / "classes.txt").write_text("none\na\nb\nc\n")
    assert inspect(folder)[2:] == (("none", "a", "b", "c"), 12, 0)


def test_a_packed_copy_may_lie_beside_a_file(tmp_path: Path) -> None:
    folder = write_custom(tmp_path, packed=False)
    for path in [*folder.glob("*ubyte")]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert inspect(folder).train_images == 12
    write_idx(folder / "t10k-labels-idx1-ubyte.gz", np.zeros(6, np.uint8))
    with pytest.raises(UserError, match=r"ubyte: differs from t10k-labels-idx1-ubyte\.gz beside"):
        inspect(folder)


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="should have two classes at least"):
        inspect(write_custom(tmp_path, classes=1))


def test_far_apart_labels_are_classes_only_if_they_are_named(tmp_path: Path) -> None:
    folder = write_custom(tmp_path)
    for path in folder.glob("*labels*"):
        write_idx(path, read_idx(path) * 100)
    with pytest.raises(UserError, match=r"but 1 is missing below 200; .* all 201 classes"):
        inspect(folder)
    (folder / "classes.txt").write_text("".join(f"{label}\n" for label in range(201)))
    assert len(inspect(folder).classes) == 201


def test_names_may_begin_with_the_mark_that_windows_writes(tmp_path: Path) -> None:
    folder = write_custom(tmp_path)
    (folder / "classes.txt").write_text("cat\ndog\nowl\n", "utf-8-sig")
    assert inspect(folder).classes == ("cat", "dog", "owl")


def test_a_change_in_a_folder_is_noticed(tmp_path: Path) -> None:
    folder = write_custom(tmp_path / "folder", names=["a", "b", "c"])
    obtain(f"folder:{folder}", tmp_path / "raw", tmp_path)
    assert is_current_copy(folder, tmp_path / "raw")
    (folder / "classes.txt").write_text("a\nb\nd\n")
    assert not is_current_copy(folder, tmp_path / "raw")
    write_custom(folder, names=["a", "b", "c"], each=6)
    assert not is_current_copy(folder, tmp_path / "raw")


@pytest.mark.parametrize("name", ["letters", "folder", "folder:", "MNIST", ""])
def test_other_names_are_refused(name: str) -> None:
    message = r"params\.yaml: data\.source: should be mnist-5k, .*, usps or folder:PATH, not"
    with pytest.raises(UserError, match=message):
        shrunk(data__source=name)
