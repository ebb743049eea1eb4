"""sample: model.safetensors → samples.safetensors, grid.png."""

from pathlib import Path

import torch

from gm_bench import device as devices
from gm_bench import io, sampling
from gm_bench.config import load_params
from gm_bench.determinism import make_deterministic
from gm_bench.figures import image_grid, png_bytes
from gm_bench.stage import Device, run

N_GRID = 64


def main(dataset: str, variant: str, seed: int, device: Device = "auto") -> None:
    """Draw the sample sets of one cell."""
    protocol = load_params().dataset(dataset).protocol
    folder = Path("runs", dataset, variant, str(seed))
    make_deterministic()
    place = devices.resolve(device)
    weights, metadata = io.read_tensors(folder / "model.safetensors")
    shape = tuple(metadata["image_shape"])
    if metadata["status"] == "ok":
        model = sampling.load(weights, metadata, place)
        sets = [sampling.draw(model, protocol.n_samples, seed, i, place) for i in range(protocol.draws)]
        images = torch.stack(sets)
        grid = images[0, :N_GRID]
    else:
        images = torch.empty((0, protocol.n_samples, *shape), dtype=torch.uint8)
        grid = torch.zeros((N_GRID, *shape), dtype=torch.uint8)
    keys = ("cell", "status", "divergence", "training_key")
    io.write_tensors(folder / "samples.safetensors", {"images": images}, {key: metadata[key] for key in keys})
    io.write_bytes(folder / "grid.png", png_bytes(image_grid(grid, columns=8, scale=max(1, 32 // shape[-1]))))
    print(f"{dataset} {variant} {seed}: {len(images)} × {protocol.n_samples} samples")  # noqa: T201


if __name__ == "__main__":
    run(main)
