"""Conditional VAE: encoder and decoder are given the class, so that the code holds only what it leaves open.

Source: Sohn et al. 2015, "Learning structured output representation using deep conditional generative
models", equation 4, with the class y as the condition and the image as the output.

    min  E_q −log p(x | h, y) + KL(q(h | x, y) ‖ N(0, I)),   p(x | h, y) = N(D(h, y), sigma² I)

Deviates from the paper: the prior of the code does not depend on the condition, the relaxation that §4.1
allows; a class is its one-hot code at the decoder and one plane a class at the encoder.
"""

from typing import ClassVar

from gm_bench.variants.vae import VAE


class CVAE(VAE):
    """Class-conditional variational autoencoder."""

    source: ClassVar[str] = "Sohn et al. 2015, eq. 4"
    conditional: ClassVar[bool] = True
    density: ClassVar[str] = "density over [-1, 1] given the class, Gaussian decoder"
