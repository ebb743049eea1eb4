"""What makes two runs on one machine equal to the bit."""

import os

import torch


def make_deterministic() -> None:
    """Fix what makes two runs of a stage on one machine differ.

    One thread on the CPU: sums are split the same way whatever runs beside, and small networks are no slower.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what CUDA asks for to be deterministic
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    # The same as use_deterministic_algorithms(True), which takes 2 s more to import torch's compiler.
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
