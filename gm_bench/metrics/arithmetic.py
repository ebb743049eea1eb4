"""Arithmetic that means what it says: float32 products in float32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_float32() -> Iterator[None]:
    """Switch off TF32 and every other shortcut for float32 products and convolutions; restore it afterwards.

    TF32 keeps 10 bits of the fraction: squared distances made of such products pick wrong neighbours, and
    features would differ between a GPU and the CPU in the third digit.
    """
    precision = torch.get_float32_matmul_precision()
    cudnn = torch.backends.cudnn
    with cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False):
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(precision)
