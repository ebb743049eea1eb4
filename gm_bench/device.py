"""Which device computes, and what the records call it."""

import torch


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
