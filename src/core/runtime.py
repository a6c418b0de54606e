"""Where and how the work runs: device, threads, seeded generators."""

import ctypes
import hashlib
import os
import platform
from pathlib import Path

import torch

from src.core.errors import UserError

# By default each processor computes with the widest instructions that it has, and every width adds
# in another order. These have the same result on any x86 processor of the last ten years.
PORTABLE = {
    "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own loops
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # convolutions
    "MKL_CBWR": "COMPATIBLE",  # products of matrices
}


# Options of the GNU C library's mallopt: how much free memory at the end of the heap it keeps, and
# up to which size a block comes from the heap; some versions accept at most LARGEST_BLOCK.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT, LARGEST_BLOCK = 1 << 30, 1 << 25  # bytes


def set_up(device: str, threads: int, portable: bool) -> torch.device:
    """Choose the device, and fix what decides the last bits of a result on it.

    device: auto, cpu, cuda or cuda:N; threads: of the CPU; portable: compute as other processors
    do, too. Raises UserError if the device named is not there, or cannot do that. Before any tensor
    is computed with: the libraries look at these settings once.
    """
    if portable:
        os.environ.update(PORTABLE)
    torch.set_num_threads(threads)
    _keep_freed_memory()
    chosen = _choose(device)
    if portable and (chosen.type != "cpu" or torch.backends.cpu.get_cpu_capability() != "AVX2"):
        raise UserError("runtime.portable: should be false on a GPU, or a CPU without AVX2")
    if chosen.type == "cuda":
        # cuBLAS is repeatable only with a fixed workspace, and reads this when it starts.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    return chosen


def _keep_freed_memory() -> None:
    """Let the C library use freed memory again, rather than give it back to the system.

    By default each batch's activations are on new pages, which the system clears first: a tenth of
    a training's time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # which musl does not have
    if mallopt and mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK):
        mallopt(M_TRIM_THRESHOLD, KEPT)


def _choose(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"runtime.device: {name} not found ({torch.cuda.device_count()} CUDA devices); "
            "use auto or cpu"
        )
    return device


def describe(device: torch.device) -> dict[str, str]:
    """What the bits of a result depend on besides code, data and parameters."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cpu": "portable" if _is_portable() else torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        # Training only: what is measured is computed in float32 everywhere.
        "precision": "bfloat16" if device.type == "cuda" else "float32",
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "none" if device.type == "cuda" else "none",
    }


def describe_worker(device: torch.device, node: str) -> dict[str, str]:
    """`describe`, and which of many machines it is: its processor and its node's name, if any."""
    named = {"node": node} if node else {}
    return {**describe(device), "processor": _processor(), **named}


def _processor() -> str:
    """The model's name; where Linux does not give one, the architecture."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _is_portable() -> bool:
    return all(os.environ.get(name) == value for name, value in PORTABLE.items())


def generator(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A separate random stream per purpose, so that drawing more from one changes no other."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    # torch takes a seed of 64 bits; one fewer keeps it a positive signed integer.
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
