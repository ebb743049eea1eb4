"""The latent space of a trained model: what lies between two codes, what a code keeps of an image."""

from collections.abc import Callable

import torch
from torch import Tensor

from gm_bench.variants.base.contract import Decoder, Encoder, Variant

N_STARTS = 8  # codes tried for each image; the best descent is kept, for the error has many valleys


def interpolate(first: Tensor, last: Tensor, n_steps: int) -> Tensor:
    """first + (last − first) · i / n_steps for i = 0 … n_steps.

    Args:
        first, last: codes (z_dim,).
        n_steps: at least 1.

    Returns:
        Codes (n_steps + 1, z_dim).
    """
    share = torch.arange(n_steps + 1, device=first.device, dtype=first.dtype)[:, None] / n_steps
    return first + (last - first) * share


def as_decoder(model: Variant) -> Decoder:
    """The model, known to make images from codes.

    Raises:
        ValueError: it does not.
    """
    if not isinstance(model, Decoder):
        raise ValueError(f"{type(model).__name__} has no latent code: no image can be made from one")
    return model


def codes_of(
    model: Variant,
    images: Tensor,
    labels: Tensor | None,
    generator: torch.Generator,
    n_steps: int,
    learning_rate: float,
) -> Tensor:
    """Codes (n, z_dim) of images (n, C, H, W) in [-1, 1]: the encoder's, or, without one, by `invert`.

    Args:
        labels: classes (n,) for conditional variants, None for others.
        generator: of the codes that a search starts from.
        n_steps, learning_rate: of a search.

    Raises:
        ValueError: the model has neither encoder nor code.
    """
    if isinstance(model, Encoder):
        with torch.no_grad():
            return model.encode(images, labels)
    decoder = as_decoder(model)
    n = len(images)
    with torch.no_grad():
        starts = decoder.latent(n * N_STARTS, generator)
    repeated = None if labels is None else labels.repeat_interleave(N_STARTS)
    codes, errors = invert(
        lambda z: decoder.decode(z, repeated),
        images.repeat_interleave(N_STARTS, dim=0),
        starts,
        n_steps,
        learning_rate,
    )
    best = errors.view(n, N_STARTS).argmin(dim=1)
    return codes.view(n, N_STARTS, -1)[torch.arange(n, device=best.device), best]


@torch.enable_grad()
def invert(
    decode: Callable[[Tensor], Tensor], images: Tensor, starts: Tensor, n_steps: int, learning_rate: float
) -> tuple[Tensor, Tensor]:
    """Codes whose images are nearest to those given, by Adam on ‖G(z) − x‖².

    Source: Creswell & Bharath 2018, "Inverting the generator of a generative adversarial network", §II.
    Deviates from the paper: squared error in place of cross-entropy, and no prior on the code, so that what
    is found is the nearest that the generator can make. A descent may end in a valley that is not the
    deepest: inverting a generator is not easy.

    Args:
        decode: codes (n, z_dim) → images (n, C, H, W), each from its own code.
        images: in [-1, 1], (n, C, H, W).
        starts: where the descents begin, (n, z_dim).

    Returns:
        The best codes on the way (n, z_dim), and their squared errors summed over pixels (n,).
    """
    z = starts.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([z], lr=learning_rate)
    best, least = starts.detach().clone(), torch.full((len(starts),), torch.inf, device=starts.device)
    for step in range(n_steps + 1):
        errors = (decode(z) - images).square().flatten(1).sum(dim=1)
        with torch.no_grad():
            better = errors < least
            best = torch.where(better[:, None], z, best)
            least = torch.where(better, errors, least)
        if step < n_steps:
            (z.grad,) = torch.autograd.grad(errors.sum(), z)
            optimiser.step()
    return best.detach(), least.detach()
