"""Networks: one family a file, found by its name."""

LENET_SIDES = range(8, 65)  # not in lenet.py: what reads params.yaml asks without importing torch


def lenet_reads(image_shape: tuple[int, int, int]) -> bool:
    """Whether images (C, H, W) are of a size that the LeNet takes."""
    channels, height, width = image_shape
    return channels in (1, 3) and height in LENET_SIDES and width in LENET_SIDES
