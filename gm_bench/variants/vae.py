"""Variational autoencoder with squared error: a Gaussian decoder of one fixed width.

Source: Kingma & Welling 2014, "Auto-encoding variational Bayes", equation 10 and appendix B.

    min  E_q −log p(x | h) + KL(N(μ, diag σ²) ‖ N(0, I)),   (μ, log σ²) = E(x),  h = μ + σ ε,  ε ~ N(0, I)
    where  −log p(x | h) = ‖x − D(h)‖² / (2 sigma²) + ½ d log(2π sigma²),  d pixels

This is the negative evidence lower bound in nats per image; `base/autoencoding.py` holds its terms.
Samples are the decoder's mean, without its pixel noise, as is usual; averages are what makes them blurry.
"""

from typing import ClassVar

from gm_bench.variants.base.autoencoding import FixedVarianceVAE


class VAE(FixedVarianceVAE):
    """Variational autoencoder."""

    source: ClassVar[str] = "Kingma & Welling 2014, eq. 10"
