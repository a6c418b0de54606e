import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from src.core.errors import UserError
from src.core.runtime import generator
from src.core.tensorfile import write_tensors
from src.data.imageset import batches, load_images, save_images
from src.data.splits import Splits
from tests.conftest import ROOT


def test_a_split_comes_back_as_it_was(tmp_path: Path, few: Splits) -> None:
    save_images(tmp_path / "train.safetensors", few.train)
    loaded = load_images(tmp_path / "train.safetensors")
    assert torch.equal(loaded.images, few.train.images)
    assert torch.equal(loaded.labels, few.train.labels)
    assert (loaded.classes, loaded.mean, loaded.std) == (
        few.train.classes,
        few.train.mean,
        few.train.std,
    )


def test_the_file_holds_what_the_contract_says(tmp_path: Path, few: Splits) -> None:
    save_images(tmp_path / "train.safetensors", few.train)
    tensors = load_file(tmp_path / "train.safetensors")
    assert set(tensors) == {"images", "labels"}
    assert tensors["images"].dtype == torch.uint8
    assert tensors["images"].shape == (400, 1, 28, 28)
    assert tensors["labels"].dtype == torch.int64


def test_other_processes_write_the_same_bytes(tmp_path: Path, few: Splits) -> None:
    """Within one process even an unordered header repeats itself."""
    first = tmp_path / "a.safetensors"
    save_images(first, few.val)
    code = (
        "import sys; from pathlib import Path; from src.data.imageset import *;"
        "save_images(Path(sys.argv[2]), load_images(Path(sys.argv[1])))"
    )
    for number in range(3):
        copy = tmp_path / f"{number}.safetensors"
        subprocess.run([sys.executable, "-c", code, first, copy], check=True, cwd=ROOT)
        assert (
            hashlib.sha256(copy.read_bytes()).digest()
            == hashlib.sha256(first.read_bytes()).digest()
        )


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not found"):
        load_images(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors here at all")
    with pytest.raises(UserError, match="damaged, or not written by idxflow"):
        load_images(tmp_path / "text.safetensors")
    save_file({"images": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="damaged, or not written by idxflow"):
        load_images(tmp_path / "other.safetensors")


def test_a_model_is_no_image_set(tmp_path: Path) -> None:
    write_tensors(tmp_path / "model.safetensors", {"weight": torch.zeros(1)}, {"config": {}})
    with pytest.raises(UserError, match="not a file of labelled images: no 'classes'"):
        load_images(tmp_path / "model.safetensors")


def test_batches_keep_the_order_unless_shuffled(few: Splits) -> None:
    labels = [labels for _, labels in batches(few.train, 64)]
    assert [len(batch) for batch in labels] == [58] + [57] * 6
    assert torch.equal(torch.cat(labels), few.train.labels)


def test_shuffled_batches_hold_each_image_once_in_a_new_order_each_epoch(few: Splits) -> None:
    numbered = few.train.subset(torch.arange(400))
    numbered.labels.copy_(torch.arange(400))
    shuffle = generator(0, "shuffle")
    first, second = (
        torch.cat([labels for _, labels in batches(numbered, 64, shuffle)]) for _ in range(2)
    )
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(400))
    assert first.tolist() != second.tolist()


def test_images_and_labels_stay_together_when_shuffled(few: Splits) -> None:
    known = {
        image.numpy().tobytes(): label
        for image, label in zip(few.train.images, few.train.labels, strict=True)
    }
    for images, labels in batches(few.train, 64, generator(0, "shuffle")):
        for image, label in zip(images, labels, strict=True):
            assert known[image.numpy().tobytes()] == label
