import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from src.core.errors import UserError
from src.core.files import written_whole
from src.core.runtime import PORTABLE, describe, generator, set_up
from tests.conftest import ROOT


def test_threads_are_as_many_as_asked() -> None:
    set_up("cpu", threads=2, portable=False)
    assert torch.get_num_threads() == 2


NEW = """
import torch
from src.core.runtime import set_up
from tests.memory import anonymous
print(set_up("auto", threads=1, portable=False).type)
before = anonymous()
torch.ones(6 << 20)
print(anonymous() - before)
"""


def test_a_new_process_takes_a_gpu_where_there_is_one_and_keeps_freed_memory() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", NEW], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    device, kept = printed.split()
    assert device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert int(kept) > 4 * (5 << 20)  # of 24 MB, freed as soon as they were computed


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match=r"runtime\.device: cuda:99 not found"):
        set_up("cuda:99", threads=1, portable=False)


GRADIENT = """
import hashlib, sys
import torch
from src.core.runtime import describe, set_up
device = set_up("cpu", 1, portable="portable" in sys.argv)
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Conv2d(1, 16, 3), torch.nn.GELU(), torch.nn.Flatten(),
                          torch.nn.Linear(16 * 26 * 26, 10))
net(torch.randn(32, 1, 28, 28)).logsumexp(1).sum().backward()
bits = b"".join(each.grad.numpy().tobytes() for each in net.parameters())
print(hashlib.sha256(bits).hexdigest(), describe(device)["cpu"])
"""


def test_portable_takes_effect_as_if_set_before_the_start() -> None:
    def computed(*arguments: str, **env: str) -> list[str]:
        command = [sys.executable, "-c", GRADIENT, *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **env}, check=True, capture_output=True, text=True
        )
        return done.stdout.split()

    assert computed("portable") == computed(**PORTABLE)
    assert computed("portable")[1] == "portable" != computed()[1]


def test_portable_on_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PORTABLE:  # what follows would set them for the tests after this one
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("src.core.runtime._choose", lambda _: torch.device("cuda"))
    with pytest.raises(UserError, match=r"runtime\.portable: should be false on a GPU"):
        set_up("cuda", threads=1, portable=True)


def test_a_run_can_say_what_its_bits_depend_on() -> None:
    torch.set_num_threads(1)
    about = describe(torch.device("cpu"))
    assert about["device"] == "cpu"
    assert about["threads"] == "1"
    assert about["torch"] == torch.__version__


def test_each_purpose_has_a_stream_of_its_own() -> None:
    def draw(seed: int, purpose: str) -> int:
        return int(torch.randint(2**62, (), generator=generator(seed, purpose)))

    assert draw(0, "shuffle") == draw(0, "shuffle")
    assert len({draw(0, "shuffle"), draw(0, "weights"), draw(1, "shuffle")}) == 3


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with written_whole(path) as partial:
        partial.write_text("first")

    def fail() -> None:
        with written_whole(path) as partial:
            partial.write_text("half of the sec")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]
