"""What makes two runs equal: seeds, determinism, the device and its name.

Every draw derives from (seed, purpose, step), so no state of a generator has to be kept.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, purpose: str, step: int = 0) -> int:
    """A 63-bit seed that depends on all three and on nothing else."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def make_deterministic() -> None:
    """Fix what makes two runs of a stage on one machine differ, and round as little as the device can.

    One thread on the CPU: sums are split the same way whatever runs beside, and small networks are no slower.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what CUDA asks for to be deterministic
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    # The same as use_deterministic_algorithms(True), which takes 2 s more to import torch's compiler.
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    set_precision(tf32=False)  # torch's default is true for convolutions


def set_precision(tf32: bool) -> None:
    """Whether a GPU may round the factors of products and convolutions to the 10 bits of TF32."""
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32


@contextmanager
def deterministic() -> Iterator[None]:
    """`make_deterministic` for as long as the block runs: a caller's own settings of torch come back."""
    n_threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    flushes = bool(torch.tensor(sys.float_info.min, dtype=torch.float64).mul(0.5) == 0)  # torch has no getter
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    benchmark = torch.backends.cudnn.benchmark
    products, convolutions = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    make_deterministic()
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
        torch.set_flush_denormal(flushes)
        torch.set_deterministic_debug_mode(mode)
        torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = benchmark
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = products, convolutions


def resolve(name: str) -> torch.device:
    """The device that a user asked for: `auto` (a GPU where there is one), `cpu` or `cuda`.

    Raises:
        ValueError: the name is unknown, or CUDA is asked for where torch finds none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name == "cuda":
        if not torch.cuda.is_available():
            raise ValueError("device 'cuda' was asked for, but torch finds no CUDA GPU here: use cpu or auto")
        return torch.device("cuda")
    raise ValueError(f"unknown device '{name}'; choose auto, cpu or cuda")


def describe(device: torch.device) -> str:
    """The device as records name it: `cpu`, or `cuda` with the model of the GPU."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return device.type
