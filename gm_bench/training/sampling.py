"""A trained model from its file, and seeded draws from it, as the uint8 images that every metric sees."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gm_bench.data.scale import from_uint8, to_uint8
from gm_bench.nets import network as networks
from gm_bench.reproducibility import derive
from gm_bench.training.job import Job
from gm_bench.training.recipe import Recipe
from gm_bench.variants.base import contract as variants
from gm_bench.variants.base.contract import LABELS, Density, Sampler, Variant

BATCH_SIZE = 500


def load(tensors: dict[str, Tensor], metadata: dict[str, Any], device: torch.device) -> Variant:
    """Rebuild a trained model from its weights and from the recipe that lies beside them."""
    recipe = Recipe.model_validate(metadata["recipe"])
    choice, shape = recipe.network, tuple(metadata["image_shape"])
    network = networks.build(choice.name, choice.options, shape, len(metadata["class_counts"]))
    model = variants.build(metadata["cell"]["variant"], network, recipe.model)
    model.load_state_dict(tensors)
    return model.to(device).eval()


def candidate(snapshots: dict[str, Tensor], images_shown: int) -> dict[str, Tensor]:
    """The weights of one snapshot, among the tensors of snapshots.safetensors."""
    prefix = f"{images_shown}."
    return {name.removeprefix(prefix): t for name, t in snapshots.items() if name.startswith(prefix)}


@torch.no_grad()
def draw(model: Sampler, labels: Tensor | None, n: int, seed: int, device: torch.device) -> Tensor:
    """A set of samples, in eval mode.

    Args:
        labels: the class of each sample, (n,), int64, for conditional variants; None for the others.
        seed: of every draw.

    Returns:
        Images (n, C, H, W) as uint8, anything else (points) as it is drawn; on the CPU.

    Raises:
        ValueError: a sample is not finite.
    """
    generator = torch.Generator(device).manual_seed(seed)
    parts = []
    for start in range(0, n, BATCH_SIZE):
        size = min(BATCH_SIZE, n - start)
        asked = None if labels is None else labels[start : start + size].to(device)
        parts.append(model.sample(size, generator, asked))
    samples = torch.cat(parts)
    if not bool(samples.isfinite().all()):
        raise ValueError(
            "the model drew images that are not finite; train it again with a smaller learning rate"
        )
    return (to_uint8(samples) if samples.ndim == 4 else samples).cpu()


def draw_snapshot(model: Variant, job: Job, data: Mapping[str, Tensor]) -> Tensor:
    """Samples of the model as it is, from the same codes each time, for the classes of the first images."""
    n, device = job.n_validation, next(iter(data.values())).device
    asked = None
    if model.conditional:
        labels = data[LABELS]
        asked = labels[torch.arange(n, device=device) % len(labels)]
    return draw(model.eval(), asked, n, derive(job.seed, "snapshot"), device)


@torch.no_grad()
def likelihood_bounds(
    model: Density, images: Tensor, labels: Tensor | None, n_codes: int, seed: int, device: torch.device
) -> dict[str, Tensor]:
    """What the model's density says of images, in eval mode: `elbo` and `iw_bound`.

    Args:
        images: uint8 (n, C, H, W).
        labels: their classes (n,), int64, for conditional variants; None for the others.
        n_codes: codes drawn for each image.
        seed: of the codes.

    Returns:
        Lower bounds of the log-likelihood of each image, float64 (n,), in nats, on the CPU.

    Raises:
        ValueError: a bound is not finite.
    """
    generator = torch.Generator(device).manual_seed(seed)
    parts = []
    for start in range(0, len(images), BATCH_SIZE):
        x = images[start : start + BATCH_SIZE].to(device)
        given = None if labels is None else labels[start : start + BATCH_SIZE].to(device)
        parts.append(model.log_likelihood_bounds(from_uint8(x), given, n_codes, generator))
    elbo, weighted = (torch.cat(bound).double().cpu() for bound in zip(*parts, strict=True))
    if not bool((elbo.isfinite() & weighted.isfinite()).all()):
        raise ValueError(
            "the likelihood of a test image is not finite; train the model again with a smaller learning rate"
        )
    return {"elbo": elbo, "iw_bound": weighted}


def draw_labels(class_counts: list[int], n: int, seed: int, index: int) -> Tensor:
    """Classes (n,), int64, drawn from the distribution of the training labels."""
    generator = torch.Generator().manual_seed(derive(seed, "labels", index))
    return torch.multinomial(torch.tensor(class_counts).double(), n, replacement=True, generator=generator)
