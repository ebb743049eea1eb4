"""Spectrally normalised GAN: every weight of the critic is divided by its largest singular value.

Source: Miyato et al. 2018, "Spectral normalization for generative adversarial networks", equations 8, 16, 17.

    critic     min  E max(0, 1 − f(x)) + E max(0, 1 + f(G(z))),   f a network of weights W / σ(W)
    generator  min  −E f(G(z))

σ(W) is followed by one step of the power method at each pass in training (torch's own parametrisation). For a
convolution W is its kernel as a matrix (outputs, inputs · k · k), as in the paper.
"""

from typing import ClassVar

from gm_bench.variants.base.objectives import Hinge


class SNGAN(Hinge):
    """Hinge loss with a spectrally normalised critic."""

    family: ClassVar[str] = "WGAN"
    source: ClassVar[str] = "Miyato et al. 2018, eq. 8 and 16"
    critic_norms: ClassVar[tuple[str, ...]] = ("spectral",)
