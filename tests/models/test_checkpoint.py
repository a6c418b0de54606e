import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from src.core.errors import UserError
from src.core.runtime import generator
from src.core.tensorfile import write_tensors
from src.models.build import build_model
from src.models.checkpoint import FORMATS, Checkpoint, Format, load_model, save_model
from tests.conftest import ROOT, shrunk

CPU = torch.device("cpu")


@pytest.fixture
def checkpoint() -> Checkpoint:
    config, shape, classes = shrunk().model, (1, 28, 28), ("a", "b", "c")
    model = build_model(config, shape, 3, [33.3], [78.6], generator(0, "weights"))
    return Checkpoint(model.eval(), config, shape, classes)


def test_a_model_comes_back_with_all_it_takes_to_use_it(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    save_model(tmp_path / "model.safetensors", checkpoint)
    loaded = load_model(tmp_path / "model.safetensors", CPU)
    assert (loaded.config, loaded.image_shape, loaded.classes) == (
        checkpoint.config,
        checkpoint.image_shape,
        checkpoint.classes,
    )
    pixels = torch.rand(3, 1, 28, 28) * 255
    # Not equal: a loaded model has another memory format, which other kernels serve.
    assert torch.allclose(loaded.model.eval()(pixels), checkpoint.model(pixels), atol=1e-5)


def test_the_metadata_names_config_classes_and_normalisation(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    save_model(tmp_path / "model.safetensors", checkpoint)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()["idxflow"])
    assert about["config"] == json.loads(checkpoint.config.model_dump_json())
    assert about["classes"] == ["a", "b", "c"]
    assert about["normalisation"] == {
        "mean": [pytest.approx(33.3)],
        "std": [pytest.approx(78.6)],
    }


def test_a_model_file_from_before_networks_had_names_opens(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    path = tmp_path / "model.safetensors"
    config = checkpoint.config.model_dump(exclude={"name"})
    about = {
        "config": config,
        "image_shape": checkpoint.image_shape,
        "classes": checkpoint.classes,
        "normalisation": {"mean": [33.3], "std": [78.6]},
    }
    write_tensors(path, checkpoint.model.state_dict(), about)
    loaded = load_model(path, CPU)
    assert loaded.config == checkpoint.config
    assert loaded.config.name == "cnn"


def test_other_processes_write_the_same_bytes(tmp_path: Path, checkpoint: Checkpoint) -> None:
    first, copy = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_model(first, checkpoint)
    code = (
        "import sys, torch; from pathlib import Path; from src.models.checkpoint import *;"
        "save_model(Path(sys.argv[2]), load_model(Path(sys.argv[1]), torch.device('cpu')))"
    )
    for _ in range(3):
        subprocess.run([sys.executable, "-c", code, first, copy], check=True, cwd=ROOT)
        assert copy.read_bytes() == first.read_bytes()


def test_other_files_are_refused(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(UserError, match="not found"):
        load_model(path, CPU)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(UserError, match="damaged, or not written by idxflow"):
        load_model(path, CPU)
    save_model(path, checkpoint)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match="damaged, or not written by idxflow"):
        load_model(path, CPU)
    write_tensors(path, {"images": torch.zeros(1)}, {"classes": ["a"]})
    with pytest.raises(UserError, match="not a model of this version: 'config'"):
        load_model(path, CPU)


class Halved(torch.nn.Module):
    """A model that is no Network: it sees half of the brightness."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(pixels / 2)
        return logits


def test_a_format_of_its_own_saves_and_loads_any_model(
    tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = FORMATS["network"]
    halved = Format(
        lambda model: network.describe(model.inner),
        lambda config, about: Halved(network.rebuild(config, about)),
    )
    monkeypatch.setitem(FORMATS, "halved", halved)
    model = Halved(checkpoint.model)
    save_model(tmp_path / "model", replace(checkpoint, model=model, format="halved"))
    loaded = load_model(tmp_path / "model", CPU)
    pixels = torch.rand(4, *checkpoint.image_shape) * 255
    model.eval()
    loaded.model.eval()
    assert (loaded.format, type(loaded.model)) == ("halved", Halved)
    torch.testing.assert_close(loaded.model(pixels), model(pixels))
    with pytest.raises(UserError, match="a model of format halved cannot be trained further"):
        _ = loaded.network
    monkeypatch.delitem(FORMATS, "halved")
    with pytest.raises(UserError, match="not a model of this version: 'halved'"):
        load_model(tmp_path / "model", CPU)
