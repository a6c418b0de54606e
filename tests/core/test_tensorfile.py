import json
from pathlib import Path

import torch
from safetensors.torch import save

from src.core.tensorfile import ENTRY, TYPES, pack, read_tensors, write_tensors

TENSORS = {
    "b": torch.tensor(3),
    "a": torch.zeros(0, 4),
    'ü"\\': torch.arange(5, dtype=torch.uint8),
    "turned": torch.rand(2, 3).T,
    **{str(kind): torch.ones(3).to(kind) for kind in TYPES},
}
ABOUT = {"classes": ["ü", '"', "\\", "停"], "mean": [1.5e-30]}


def test_the_bytes_are_those_of_the_library(tmp_path: Path) -> None:
    contiguous = {name: tensor.contiguous() for name, tensor in TENSORS.items()}
    expected = save(contiguous, metadata={ENTRY: json.dumps(ABOUT)})
    assert pack(TENSORS, ABOUT) == expected
    write_tensors(tmp_path / "file", TENSORS, ABOUT)
    assert (tmp_path / "file").read_bytes() == expected


def test_tensors_and_their_file_do_not_change_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_tensors(path, {"ones": torch.ones(9)}, {})
    content = path.read_bytes()
    read, _ = read_tensors(path)
    read["ones"][0] = 2
    assert path.read_bytes() == content
    write_tensors(path, {"ones": torch.zeros(9)}, {})
    assert read["ones"].sum() == 10
